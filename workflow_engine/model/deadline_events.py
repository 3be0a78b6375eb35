"""Payloads of the events about runs that are due; part of the catalogue in ``events``."""

from datetime import datetime
from typing import Annotated, ClassVar

from pydantic import Field

from workflow_engine.model.payload_fields import Actor, Payload, Public, WorkflowName, WorkflowVersion

_DueAt = Annotated[datetime, Public, Field(description="when the run is due")]


class RunDueSoon(Payload):
    """A run that has not ended is due soon: one of its reminders."""

    event = "run.due_soon"
    fired_by = "FireTimers"
    frequency = "once for each reminder, and again for a deadline that was moved"
    example: ClassVar = {
        "workflow": "order_fulfilment",
        "version": "1",
        "due_at": "2026-01-31T13:00:00Z",
        "before_seconds": 3600.0,
    }

    workflow: WorkflowName
    version: WorkflowVersion
    due_at: _DueAt
    before_seconds: Annotated[float, Public, Field(description="how long before that the reminder was asked for")]


class RunOverdue(Payload):
    """A run has not ended by the time it was due; it goes on."""

    event = "run.overdue"
    fired_by = "FireTimers"
    frequency = "at most once for each deadline a run is given"
    example: ClassVar = {"workflow": "order_fulfilment", "version": "1", "due_at": "2026-01-31T13:00:00Z"}

    workflow: WorkflowName
    version: WorkflowVersion
    due_at: _DueAt


class RunRescheduled(Payload):
    """Somebody changed when a run is due, or its reminders."""

    event = "run.rescheduled"
    fired_by = "UpdateDeadline, UpdateRun"
    frequency = "when somebody asks"
    example: ClassVar = {
        "workflow": "order_fulfilment",
        "version": "1",
        "due_at": "2026-01-31T15:00:00Z",
        "remind_before_seconds": [3600.0, 600.0],
        "previous_due_at": "2026-01-31T13:00:00Z",
        "actor": "ada@host-1",
    }

    workflow: WorkflowName
    version: WorkflowVersion
    due_at: Annotated[datetime | None, Public, Field(description="when the run is due now; null: at no time")]
    remind_before_seconds: Annotated[
        list[float], Public, Field(description="how long before that its reminders come, the first one first")
    ]
    previous_due_at: Annotated[datetime | None, Public, Field(description="when it was due before; null: at no time")]
    actor: Actor

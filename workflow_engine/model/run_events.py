"""Payloads of the events about runs; part of the catalogue in ``events``."""

from datetime import datetime
from typing import Annotated, ClassVar

from pydantic import Field

from workflow_engine.model.payload_fields import (
    RUN_END_TIMES,
    RUN_TIMES,
    Actor,
    BeganAt,
    ErrorClass,
    ErrorMessage,
    Payload,
    Personal,
    Public,
    RetriedAt,
    SubmittedAt,
    WhyAsked,
    WorkflowName,
    WorkflowVersion,
)


class RunSubmitted(Payload):
    """A run was accepted and stored."""

    event = "run.submitted"
    fired_by = "SubmitRun, FireTimers, RerunRun"
    frequency = "once a run"
    example: ClassVar = {"workflow": "order_fulfilment", "version": "1", "steps": 5, "initiator": None}

    workflow: WorkflowName
    version: WorkflowVersion
    steps: Annotated[int, Public, Field(description="how many steps the run has")]
    initiator: Annotated[str | None, Personal, Field(description="who submitted it, as the submitter said")]


class RunStarted(Payload):
    """A run begins: its first step was claimed by a worker, or resolved by hand."""

    event = "run.started"
    fired_by = "ClaimStep, ResolveStep, RerunRun"
    frequency = "at most once a run"
    example: ClassVar = {"workflow": "order_fulfilment", "version": "1"}

    workflow: WorkflowName
    version: WorkflowVersion


class RunSucceeded(Payload):
    """Every step of a run succeeded."""

    event = "run.succeeded"
    fired_by = "CompleteStep, SuspendStep, DeliverSignal, FireTimers, ResolveStep"
    frequency = "at most once a run"
    example: ClassVar = {"workflow": "order_fulfilment", "version": "1", **RUN_END_TIMES}

    workflow: WorkflowName
    version: WorkflowVersion
    submitted_at: SubmittedAt
    started_at: BeganAt
    retried_at: RetriedAt = None


class RunFailed(Payload):
    """A step of the run failed for good, or the run did not end within its timeout; nothing of it runs any more."""

    event = "run.failed"
    schema_version = 2
    fired_by = "FailStep, CompleteStep, LoseStep, StopStep, FireTimers, SuspendStep, DeliverSignal, ResolveStep"
    frequency = "at most once a run, and once more each time it is retried"
    example: ClassVar = {
        "workflow": "order_fulfilment",
        "version": "1",
        "step": "charge",
        "error_class": "CardDeclined",
        "message": "insufficient funds",
        **RUN_END_TIMES,
    }

    workflow: WorkflowName
    version: WorkflowVersion
    step: Annotated[
        str | None, Public, Field(description="the first step that failed; null if the run itself did: it timed out")
    ]
    error_class: ErrorClass
    message: ErrorMessage
    submitted_at: SubmittedAt
    started_at: BeganAt
    retried_at: RetriedAt = None


class RunCancelling(Payload):
    """Somebody asked to cancel the run; steps that run are given time to end."""

    event = "run.cancelling"
    fired_by = "CancelRun, FireTimers"
    frequency = "at most once a run"
    example: ClassVar = {"reason": "customer withdrew", "actor": "ada", "running_steps": 1}

    reason: WhyAsked
    actor: Actor
    running_steps: Annotated[int, Public, Field(description="how many steps were running at that moment")]


class RunCancelled(Payload):
    """A cancelled run came to rest: none of its steps runs any more."""

    event = "run.cancelled"
    fired_by = "CancelRun, CompleteStep, FailStep, LoseStep, StopStep, FireTimers, SuspendStep"
    frequency = "at most once a run"
    example: ClassVar = {"workflow": "order_fulfilment", "version": "1", **RUN_END_TIMES}

    workflow: WorkflowName
    version: WorkflowVersion
    submitted_at: SubmittedAt
    started_at: BeganAt
    retried_at: RetriedAt = None


class RunStale(Payload):
    """Nothing of the run has moved for longer than its limit."""

    event = "run.stale"
    fired_by = "TellStandstills"
    frequency = "once each time that a run stands still"
    example: ClassVar = {
        "since": "2026-01-31T11:00:00Z",
        "limit_seconds": 3600.0,
        "because": "no_worker",
        "held_by": "render",
    }

    since: Annotated[datetime, Public, Field(description="when something of it moved for the last time")]
    limit_seconds: Annotated[float, Public, Field(description="for how long it may stand still")]
    because: Annotated[str, Public, Field(description="what holds it up, as `wfe runs explain` names it")]
    held_by: Annotated[str | None, Public, Field(description="the step that holds it up")]


class RunExpired(Payload):
    """The run was not started before its ``expires_at``."""

    event = "run.expired"
    fired_by = "FireTimers"
    frequency = "at most once a run"
    example: ClassVar = {"workflow": "order_fulfilment", "version": "1", **RUN_TIMES}

    workflow: WorkflowName
    version: WorkflowVersion
    submitted_at: SubmittedAt
    started_at: BeganAt

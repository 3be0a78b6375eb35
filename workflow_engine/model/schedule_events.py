"""Payloads of the events about schedules; part of the catalogue in ``events``."""

from datetime import datetime
from typing import Annotated, ClassVar

from pydantic import Field

from workflow_engine.model.payload_fields import Actor, Payload, Public, WorkflowName

ScheduleName = Annotated[str, Public, Field(description="the schedule's name")]
NextAt = Annotated[datetime | None, Public, Field(description="its next occurrence; null: there is none")]
OccursAt = Annotated[datetime, Public, Field(description="the occurrence: when it was due")]

_WHO = {"schedule": "nightly_report", "actor": "ada@host-1"}
_NEXT = {"next_at": "2026-02-01T05:00:00Z"}


class ScheduleCreated(Payload):
    """Somebody made a schedule."""

    event = "schedule.created"
    fired_by = "CreateSchedule"
    frequency = "when somebody asks"
    example: ClassVar = {**_WHO, "workflow": "report", "rule": "0 6 * * *", "time_zone": "Europe/Berlin", **_NEXT}

    schedule: ScheduleName
    workflow: WorkflowName
    rule: Annotated[str, Public, Field(description="the cron expression or RRULE")]
    time_zone: Annotated[str, Public, Field(description="the zone in which the rule is read")]
    next_at: NextAt
    actor: Actor


class ScheduleUpdated(Payload):
    """Somebody changed a schedule."""

    event = "schedule.updated"
    fired_by = "UpdateSchedule"
    frequency = "when somebody asks"
    example: ClassVar = {**_WHO, "changed": ["cron", "time_zone"], **_NEXT}

    schedule: ScheduleName
    changed: Annotated[list[str], Public, Field(description="what was set anew")]
    next_at: NextAt
    actor: Actor


class SchedulePaused(Payload):
    """Somebody paused a schedule; what comes due meanwhile is not made up for."""

    event = "schedule.paused"
    fired_by = "PauseSchedule"
    frequency = "when somebody asks"
    example: ClassVar = {**_WHO}

    schedule: ScheduleName
    actor: Actor


class ScheduleResumed(Payload):
    """Somebody let a paused schedule go on."""

    event = "schedule.resumed"
    fired_by = "ResumeSchedule"
    frequency = "when somebody asks"
    example: ClassVar = {**_WHO, **_NEXT}

    schedule: ScheduleName
    next_at: NextAt
    actor: Actor


class ScheduleDeleted(Payload):
    """Somebody deleted a schedule; runs that it started go on."""

    event = "schedule.deleted"
    fired_by = "DeleteSchedule"
    frequency = "when somebody asks"
    example: ClassVar = {**_WHO}

    schedule: ScheduleName
    actor: Actor


class ScheduleFired(Payload):
    """An occurrence of a schedule started this run."""

    event = "schedule.fired"
    fired_by = "FireTimers"
    frequency = "at most once an occurrence"
    example: ClassVar = {"schedule": "nightly_report", "occurs_at": "2026-01-31T05:00:00Z", "late_seconds": 0.02}

    schedule: ScheduleName
    occurs_at: OccursAt
    late_seconds: Annotated[float, Public, Field(description="how long after that it was fired")]


class ScheduleSkipped(Payload):
    """An occurrence of a schedule, or several in a row, started no run."""

    event = "schedule.skipped"
    fired_by = "FireTimers"
    frequency = "at most once an occurrence"
    example: ClassVar = {
        "schedule": "nightly_report",
        "occurs_at": "2026-01-28T05:00:00Z",
        "until": "2026-01-30T05:00:00Z",
        "because": "late",
    }

    schedule: ScheduleName
    occurs_at: Annotated[datetime, Public, Field(description="the first of them")]
    until: Annotated[datetime, Public, Field(description="the last of them")]
    because: Annotated[str, Public, Field(description="late: nobody was there to fire it; overlap: a run went on")]

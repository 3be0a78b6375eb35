"""Timers: the moments in the future at which something is to happen."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from workflow_engine.ids import RunId


class TimerKind(StrEnum):
    """What a timer is for. Each kind has a handler in ``engine/handlers/timer.py``."""

    STEP_READY = "step_ready"
    """Steps of a run are due: the delay before an attempt is over, or the run's scheduled start has come."""
    RUN_EXPIRY = "run_expiry"
    """A run that has not started by now never will."""
    HEARTBEAT = "heartbeat"
    """An attempt has shown no sign of life for its step's ``heartbeat_timeout``."""
    STEP_TIMEOUT = "step_timeout"
    """An attempt has run for its step's ``timeout``, in a pool where Celery does not enforce it."""
    WAKE = "wake"
    """A suspended step has waited long enough."""
    SCHEDULE = "schedule"
    """An occurrence of a schedule is due."""
    REMINDER = "reminder"
    """A run is due some time from now; ``before``, in its data, says how many seconds."""
    OVERDUE = "overdue"
    """A run is due now, and has not ended."""
    RUN_TIMEOUT = "run_timeout"
    """A run that has not ended by now has failed."""
    CANCEL_GRACE = "cancel_grace"
    """What still runs of a cancelled run has had its time to stop."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Timer:
    """A timer that has come due and was taken to be fired."""

    kind: str
    """A ``TimerKind``; text, so that one of a newer release is not in the way."""
    due_at: datetime
    late: timedelta
    """How long after ``due_at`` it was taken, by PostgreSQL's clock."""
    run_id: RunId | None
    position: int | None
    attempt: int | None
    schedule_id: int | None
    data: Mapping[str, Any] | None

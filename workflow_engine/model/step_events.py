"""Payloads of the events about steps; part of the catalogue in ``events``."""

from datetime import datetime
from typing import Annotated, ClassVar

from pydantic import Field

from workflow_engine.model.payload_fields import (
    MESSAGE_LIMIT,
    STEP_TIMES,
    DispatchedAt,
    ErrorClass,
    ErrorMessage,
    Internal,
    Payload,
    Public,
    Reason,
    StartedAt,
)


class StepDispatched(Payload):
    """A step whose parents have all succeeded was handed to Celery."""

    event = "step.dispatched"
    fired_by = "SubmitRun, CompleteStep, ProcessReadiness, FireTimers, SuspendStep, DeliverSignal, ResolveStep"
    frequency = "once an attempt; again if the broker or a worker could not take it"
    example: ClassVar = {"queue": "payments", "triggered_by": "step_completed", "ready_at": None}

    queue: Annotated[str | None, Internal, Field(description="null is the app's default queue")]
    triggered_by: Annotated[
        str,
        Public,
        Field(
            description="submit, step_completed, step_ready, run_state, timer, catch_up, fallback_polling, broker_back"
        ),
    ]
    ready_at: Annotated[
        datetime | None, Public, Field(description="when it became due, if that was before; null: at this moment")
    ] = None


class StepReleased(Payload):
    """The broker or the worker could not take a dispatched step; it is ready again."""

    event = "step.released"
    fired_by = "ReleaseSteps, PauseRun"
    frequency = "when the broker is down or a worker lacks the definition"
    example: ClassVar = {"reason": "broker unavailable"}

    reason: Annotated[Reason, Field(description="why it could not be taken")]


class StepStarted(Payload):
    """A worker claimed an attempt."""

    event = "step.started"
    fired_by = "ClaimStep"
    frequency = "at most once an attempt"
    example: ClassVar = {"worker": "celery@host-1"}

    worker: Annotated[str, Internal, Field(description="the Celery worker's node name")]


class StepSuspended(Payload):
    """A step waits for a time or a signal and holds no worker."""

    event = "step.suspended"
    fired_by = "SuspendStep"
    frequency = "at most once an attempt of a step that waits"
    example: ClassVar = {"until": "2026-02-01T05:00:00Z", "signal": None}

    until: Annotated[datetime | None, Public, Field(description="when it wakes at the latest; null: it has no limit")]
    signal: Annotated[str | None, Public, Field(description="the signal it waits for; null: only the time")]


class StepResumed(Payload):
    """What a suspended step waited for has come, or took too long; how it ended is the next event."""

    event = "step.resumed"
    fired_by = "FireTimers, DeliverSignal"
    frequency = "at most once an attempt of a step that waits"
    example: ClassVar = {"because": "signal"}

    because: Annotated[str, Public, Field(description="time, signal or timeout")]


class StepCompleted(Payload):
    """A step succeeded and its result is stored."""

    event = "step.completed"
    fired_by = "CompleteStep, SuspendStep, DeliverSignal, FireTimers"
    frequency = "at most once a step"
    example: ClassVar = {"seconds": 0.82, **STEP_TIMES}

    seconds: Annotated[float, Public, Field(description="how long the handler ran")]
    dispatched_at: DispatchedAt
    started_at: StartedAt


class StepRetrying(Payload):
    """An attempt failed and the next one is due at a known time."""

    event = "step.retrying"
    fired_by = "FailStep, FireTimers"
    frequency = "once a failed attempt that is tried again"
    example: ClassVar = {
        "error_class": "GatewayTimeout",
        "message": "no answer",
        "delay_seconds": 2.0,
        **STEP_TIMES,
    }

    error_class: ErrorClass
    message: ErrorMessage
    delay_seconds: Annotated[float, Public, Field(description="how long until the next attempt is due")]
    dispatched_at: DispatchedAt
    started_at: StartedAt


class StepLost(Payload):
    """The process that ran an attempt went away; the step is ready again."""

    event = "step.lost"
    fired_by = "LoseStep, RescueSteps"
    frequency = "once a lost attempt"
    example: ClassVar = {"reason": "worker exited with signal 9 (SIGKILL)", **STEP_TIMES}

    reason: Annotated[
        str, Internal, Field(max_length=MESSAGE_LIMIT, description="how its process ended, as far as known")
    ]
    dispatched_at: DispatchedAt
    started_at: StartedAt


class StepFailed(Payload):
    """A step's last attempt failed."""

    event = "step.failed"
    fired_by = "FailStep, LoseStep, StopStep, FireTimers"
    frequency = "at most once a step, and once more each time it is requeued"
    example: ClassVar = {"error_class": "CardDeclined", "message": "insufficient funds", **STEP_TIMES}

    error_class: ErrorClass
    message: ErrorMessage
    dispatched_at: DispatchedAt
    started_at: StartedAt


class StepSkipped(Payload):
    """A step will never run, because a step it waits for did not succeed."""

    event = "step.skipped"
    fired_by = "FailStep, LoseStep, StopStep, FireTimers"
    frequency = "at most once a step, and once more each time it is restored"
    example: ClassVar = {"because": "charge"}

    because: Annotated[str, Public, Field(description="the step that failed")]


class StepCancelled(Payload):
    """A step was cancelled: with its run, or because another step failed."""

    event = "step.cancelled"
    fired_by = "CancelRun, FailStep, LoseStep, StopStep, FireTimers, SuspendStep"
    frequency = "at most once a step, and once more each time it is requeued or restored"
    example: ClassVar = {"because": "the run was cancelled", "dispatched_at": None, "started_at": None}

    because: Annotated[str, Public, Field(description="why, as a sentence")]
    dispatched_at: Annotated[datetime | None, Public, Field(description="when it was handed to Celery, if it ran")]
    started_at: Annotated[datetime | None, Public, Field(description="when a worker claimed it, if it ran")]

"""The event catalogue: one payload model per fact, with its name, description, example and version.

Payloads carry ids, names, states, times, error classes and bounded messages; never inputs or results.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, ClassVar

from pydantic import Field, ValidationError

from workflow_engine.errors import EventRefused
from workflow_engine.model.payload_fields import (
    MESSAGE_LIMIT,
    PAYLOAD_LIMIT,
    RUN_END_TIMES,
    RUN_TIMES,
    STEP_TIMES,
    Actor,
    BeganAt,
    DispatchedAt,
    ErrorClass,
    ErrorMessage,
    Internal,
    Payload,
    Personal,
    Privacy,
    Public,
    Reason,
    RetriedAt,
    StartedAt,
    SubmittedAt,
    WorkflowName,
    WorkflowVersion,
    privacy_of,
)
from workflow_engine.model.retry_events import RunRetried, StepDiscarded, StepRequeued, StepRestored
from workflow_engine.model.subscriber_events import (
    SubscriberDeadLettered,
    SubscriberDiscarded,
    SubscriberReplayed,
    SubscriberRequeued,
)

__all__ = [
    "CATALOGUE",
    "MESSAGE_LIMIT",
    "PAYLOAD_LIMIT",
    "Event",
    "Internal",
    "Payload",
    "Personal",
    "Privacy",
    "Public",
    "parse_payload",
    "privacy_of",
]


class RunSubmitted(Payload):
    """A run was accepted and stored."""

    event = "run.submitted"
    fired_by = "SubmitRun"
    frequency = "once a run"
    example: ClassVar = {"workflow": "order_fulfilment", "version": "1", "steps": 5, "initiator": None}

    workflow: WorkflowName
    version: WorkflowVersion
    steps: Annotated[int, Public, Field(description="how many steps the run has")]
    initiator: Annotated[str | None, Personal, Field(description="who submitted it, as the submitter said")]


class RunStarted(Payload):
    """The first step of a run was claimed by a worker."""

    event = "run.started"
    fired_by = "ClaimStep"
    frequency = "at most once a run"
    example: ClassVar = {"workflow": "order_fulfilment", "version": "1"}

    workflow: WorkflowName
    version: WorkflowVersion


class RunSucceeded(Payload):
    """Every step of a run succeeded."""

    event = "run.succeeded"
    fired_by = "CompleteStep"
    frequency = "at most once a run"
    example: ClassVar = {"workflow": "order_fulfilment", "version": "1", **RUN_END_TIMES}

    workflow: WorkflowName
    version: WorkflowVersion
    submitted_at: SubmittedAt
    started_at: BeganAt
    retried_at: RetriedAt = None


class RunFailed(Payload):
    """A step of the run failed for good, and nothing of the run runs any more."""

    event = "run.failed"
    fired_by = "FailStep, CompleteStep, LoseStep, StopStep"
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
    step: Annotated[str, Public, Field(description="the first step that failed")]
    error_class: ErrorClass
    message: ErrorMessage
    submitted_at: SubmittedAt
    started_at: BeganAt
    retried_at: RetriedAt = None


class RunCancelling(Payload):
    """Somebody asked to cancel the run; steps that run are given time to end."""

    event = "run.cancelling"
    fired_by = "CancelRun"
    frequency = "at most once a run"
    example: ClassVar = {"reason": "customer withdrew", "actor": "ada", "running_steps": 1}

    reason: Annotated[str | None, Personal, Field(max_length=MESSAGE_LIMIT, description="why, as whoever asked said")]
    actor: Actor
    running_steps: Annotated[int, Public, Field(description="how many steps were running at that moment")]


class RunCancelled(Payload):
    """A cancelled run came to rest: none of its steps runs any more."""

    event = "run.cancelled"
    fired_by = "CancelRun, CompleteStep, FailStep, LoseStep, StopStep"
    frequency = "at most once a run"
    example: ClassVar = {"workflow": "order_fulfilment", "version": "1", **RUN_END_TIMES}

    workflow: WorkflowName
    version: WorkflowVersion
    submitted_at: SubmittedAt
    started_at: BeganAt
    retried_at: RetriedAt = None


class RunExpired(Payload):
    """The run was not started before its ``expires_at``."""

    event = "run.expired"
    fired_by = "ExpireRuns"
    frequency = "at most once a run"
    example: ClassVar = {"workflow": "order_fulfilment", "version": "1", **RUN_TIMES}

    workflow: WorkflowName
    version: WorkflowVersion
    submitted_at: SubmittedAt
    started_at: BeganAt


class StepDispatched(Payload):
    """A step whose parents have all succeeded was handed to Celery."""

    event = "step.dispatched"
    fired_by = "SubmitRun, CompleteStep, DispatchReady"
    frequency = "once an attempt; again if the broker or a worker could not take it"
    example: ClassVar = {"queue": "payments", "triggered_by": "step_completed", "ready_at": None}

    queue: Annotated[str | None, Internal, Field(description="null is the app's default queue")]
    triggered_by: Annotated[str, Public, Field(description="submit, step_completed, or readiness")]
    ready_at: Annotated[
        datetime | None, Public, Field(description="when it became due, if that was before; null: at this moment")
    ] = None


class StepReleased(Payload):
    """The broker or the worker could not take a dispatched step; it is ready again."""

    event = "step.released"
    fired_by = "ReleaseSteps"
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


class StepCompleted(Payload):
    """A step succeeded and its result is stored."""

    event = "step.completed"
    fired_by = "CompleteStep"
    frequency = "at most once a step"
    example: ClassVar = {"seconds": 0.82, **STEP_TIMES}

    seconds: Annotated[float, Public, Field(description="how long the handler ran")]
    dispatched_at: DispatchedAt
    started_at: StartedAt


class StepRetrying(Payload):
    """An attempt failed and the next one is due at a known time."""

    event = "step.retrying"
    fired_by = "FailStep"
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
    fired_by = "FailStep, LoseStep, StopStep"
    frequency = "at most once a step, and once more each time it is requeued"
    example: ClassVar = {"error_class": "CardDeclined", "message": "insufficient funds", **STEP_TIMES}

    error_class: ErrorClass
    message: ErrorMessage
    dispatched_at: DispatchedAt
    started_at: StartedAt


class StepSkipped(Payload):
    """A step will never run, because a step it waits for did not succeed."""

    event = "step.skipped"
    fired_by = "FailStep, LoseStep, StopStep"
    frequency = "at most once a step, and once more each time it is restored"
    example: ClassVar = {"because": "charge"}

    because: Annotated[str, Public, Field(description="the step that failed")]


class StepCancelled(Payload):
    """A step was cancelled: with its run, or because another step failed."""

    event = "step.cancelled"
    fired_by = "CancelRun, FailStep, LoseStep, StopStep, ExpireRuns"
    frequency = "at most once a step, and once more each time it is requeued or restored"
    example: ClassVar = {"because": "the run was cancelled", "dispatched_at": None, "started_at": None}

    because: Annotated[str, Public, Field(description="why, as a sentence")]
    dispatched_at: Annotated[datetime | None, Public, Field(description="when it was handed to Celery, if it ran")]
    started_at: Annotated[datetime | None, Public, Field(description="when a worker claimed it, if it ran")]


CATALOGUE: dict[str, type[Payload]] = {
    payload.event: payload
    for payload in (
        RunSubmitted,
        RunStarted,
        RunSucceeded,
        RunFailed,
        RunCancelling,
        RunCancelled,
        RunExpired,
        RunRetried,
        StepDispatched,
        StepReleased,
        StepStarted,
        StepCompleted,
        StepRetrying,
        StepLost,
        StepFailed,
        StepSkipped,
        StepCancelled,
        StepRequeued,
        StepRestored,
        StepDiscarded,
        SubscriberDeadLettered,
        SubscriberRequeued,
        SubscriberDiscarded,
        SubscriberReplayed,
    )
}
"""Every event there is, by name. What is not here cannot be published."""


def parse_payload(name: str, data: Mapping[str, Any]) -> Payload:
    """Return a payload as the catalogue's model, its fields checked; those of a newer program are left out.

    Raises:
        EventRefused: the catalogue does not have the event, or the data breaks its schema.
    """
    model = CATALOGUE.get(name)
    if model is None:
        raise EventRefused(name, "is not in the catalogue")
    try:
        return model.model_validate({name: value for name, value in data.items() if name in model.model_fields})
    except ValidationError as error:
        raise EventRefused(name, f"its payload breaks its schema: {error}") from None


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """A fact, ready for the event log. Only ``engine.publisher`` makes them."""

    name: str
    data: str
    """The payload as JSON text."""
    step: str | None = None
    attempt: int | None = None

    @property
    def as_cause(self) -> str:
        """How an event of the same transaction names this one as what led to it."""
        return " ".join(str(part) for part in (self.name, self.step, self.attempt) if part is not None)

"""The event catalogue: one payload model per fact, with its name, description, example and version.

Payloads carry ids, names, states, times, error classes and bounded messages; never inputs or results.
"""

from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

from pydantic import BaseModel, ConfigDict, Field

MESSAGE_LIMIT = 2_000
"""Characters of an error message that an event keeps."""

WorkflowName = Annotated[str, Field(description="the workflow's name")]
WorkflowVersion = Annotated[str, Field(description="the workflow's version")]
ErrorClass = Annotated[str, Field(description="the exception's class")]
ErrorMessage = Annotated[str, Field(max_length=MESSAGE_LIMIT, description="the exception's text, cut to that length")]


class Payload(BaseModel):
    """Base of every payload; a subclass is one event of the catalogue."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    event: ClassVar[str]
    """The event's name, ``<entity>.<what happened>``."""
    schema_version: ClassVar[int] = 1
    fired_by: ClassVar[str]
    """The command or service that makes it true."""
    frequency: ClassVar[str]
    example: ClassVar[dict[str, Any]]


class RunSubmitted(Payload):
    """A run was accepted and stored."""

    event = "run.submitted"
    fired_by = "SubmitRun"
    frequency = "once a run"
    example: ClassVar = {"workflow": "order_fulfilment", "version": "1", "steps": 5, "initiator": None}

    workflow: WorkflowName
    version: WorkflowVersion
    steps: int = Field(description="how many steps the run has")
    initiator: str | None = Field(description="who submitted it, as the submitter said")


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
    example: ClassVar = {"workflow": "order_fulfilment", "version": "1"}

    workflow: WorkflowName
    version: WorkflowVersion


class RunFailed(Payload):
    """A step of the run failed for good, and nothing of the run runs any more."""

    event = "run.failed"
    fired_by = "FailStep, CompleteStep, LoseStep, StopStep"
    frequency = "at most once a run"
    example: ClassVar = {
        "workflow": "order_fulfilment",
        "version": "1",
        "step": "charge",
        "error_class": "CardDeclined",
        "message": "insufficient funds",
    }

    workflow: WorkflowName
    version: WorkflowVersion
    step: str = Field(description="the first step that failed")
    error_class: ErrorClass
    message: ErrorMessage


class RunCancelling(Payload):
    """Somebody asked to cancel the run; steps that run are given time to end."""

    event = "run.cancelling"
    fired_by = "CancelRun"
    frequency = "at most once a run"
    example: ClassVar = {"reason": "customer withdrew", "actor": "ada", "running_steps": 1}

    reason: str | None = Field(max_length=MESSAGE_LIMIT, description="why, as whoever asked said")
    actor: str | None = Field(description="who asked, as they said")
    running_steps: int = Field(description="how many steps were running at that moment")


class RunCancelled(Payload):
    """A cancelled run came to rest: none of its steps runs any more."""

    event = "run.cancelled"
    fired_by = "CancelRun, CompleteStep, FailStep, LoseStep, StopStep"
    frequency = "at most once a run"
    example: ClassVar = {"workflow": "order_fulfilment", "version": "1"}

    workflow: WorkflowName
    version: WorkflowVersion


class RunExpired(Payload):
    """The run was not started before its ``expires_at``."""

    event = "run.expired"
    fired_by = "ExpireRuns"
    frequency = "at most once a run"
    example: ClassVar = {"workflow": "order_fulfilment", "version": "1"}

    workflow: WorkflowName
    version: WorkflowVersion


class StepDispatched(Payload):
    """A step whose parents have all succeeded was handed to Celery."""

    event = "step.dispatched"
    fired_by = "SubmitRun, CompleteStep, DispatchReady"
    frequency = "once an attempt; again if the broker or a worker could not take it"
    example: ClassVar = {"queue": "payments", "triggered_by": "step_completed"}

    queue: str | None = Field(description="None is the app's default queue")
    triggered_by: str = Field(description="submit, step_completed, or readiness")


class StepReleased(Payload):
    """The broker or the worker could not take a dispatched step; it is ready again."""

    event = "step.released"
    fired_by = "ReleaseSteps"
    frequency = "when the broker is down or a worker lacks the definition"
    example: ClassVar = {"reason": "broker unavailable"}

    reason: str = Field(max_length=MESSAGE_LIMIT, description="why it could not be taken")


class StepStarted(Payload):
    """A worker claimed an attempt."""

    event = "step.started"
    fired_by = "ClaimStep"
    frequency = "at most once an attempt"
    example: ClassVar = {"worker": "celery@host-1"}

    worker: str = Field(description="the Celery worker's node name")


class StepCompleted(Payload):
    """A step succeeded and its result is stored."""

    event = "step.completed"
    fired_by = "CompleteStep"
    frequency = "at most once a step"
    example: ClassVar = {"seconds": 0.82}

    seconds: float = Field(description="how long the handler ran")


class StepRetrying(Payload):
    """An attempt failed and the next one is due at a known time."""

    event = "step.retrying"
    fired_by = "FailStep"
    frequency = "once a failed attempt that is tried again"
    example: ClassVar = {"error_class": "GatewayTimeout", "message": "no answer", "delay_seconds": 2.0}

    error_class: ErrorClass
    message: ErrorMessage
    delay_seconds: float = Field(description="how long until the next attempt is due")


class StepLost(Payload):
    """The process that ran an attempt went away; the step is ready again."""

    event = "step.lost"
    fired_by = "LoseStep"
    frequency = "once a lost attempt"
    example: ClassVar = {"reason": "worker exited with signal 9 (SIGKILL)"}

    reason: str = Field(max_length=MESSAGE_LIMIT, description="how its process ended, as far as known")


class StepFailed(Payload):
    """A step's last attempt failed."""

    event = "step.failed"
    fired_by = "FailStep, LoseStep, StopStep"
    frequency = "at most once a step"
    example: ClassVar = {"error_class": "CardDeclined", "message": "insufficient funds"}

    error_class: ErrorClass
    message: ErrorMessage


class StepSkipped(Payload):
    """A step will never run, because a step it waits for did not succeed."""

    event = "step.skipped"
    fired_by = "FailStep, LoseStep, StopStep"
    frequency = "at most once a step"
    example: ClassVar = {"because": "charge"}

    because: str = Field(description="the step that failed")


class StepCancelled(Payload):
    """A step was cancelled: with its run, or because another step failed."""

    event = "step.cancelled"
    fired_by = "CancelRun, FailStep, LoseStep, StopStep, ExpireRuns"
    frequency = "at most once a step"
    example: ClassVar = {"because": "the run was cancelled"}

    because: str = Field(description="why, as a sentence")


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
        StepDispatched,
        StepReleased,
        StepStarted,
        StepCompleted,
        StepRetrying,
        StepLost,
        StepFailed,
        StepSkipped,
        StepCancelled,
    )
}
"""Every event there is, by name. What is not here cannot be published."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """A fact about a run, ready for the event log."""

    name: str
    data: str
    """The payload as JSON text."""
    step: str | None = None
    attempt: int | None = None

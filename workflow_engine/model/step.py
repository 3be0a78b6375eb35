"""StepState, StepTrigger and the step's transition table."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Final

from workflow_engine.errors import IllegalTransition


class StepState(StrEnum):
    """Where a step of a run stands."""

    WAITING = "waiting"
    """Some parent has not finished."""
    READY = "ready"
    """May run; not yet handed to Celery."""
    DISPATCHED = "dispatched"
    """Handed to Celery; no worker has claimed it."""
    RUNNING = "running"
    """A worker holds the attempt."""
    RETRYING = "retrying"
    """An attempt failed; the next one waits for its time."""
    SUSPENDED = "suspended"
    """Waits for a signal, a time or a sub-workflow; holds no worker."""
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    SKIPPED = "skipped"
    """Will never run, because a parent did not succeed."""
    CANCELLED = "cancelled"


FINAL_STEP_STATES: Final = frozenset({StepState.SUCCEEDED, StepState.FAILED, StepState.SKIPPED, StepState.CANCELLED})

STEP_STATE_AFTER: Final[Mapping[str, StepState]] = {
    "step.dispatched": StepState.DISPATCHED,
    "step.released": StepState.READY,
    "step.started": StepState.RUNNING,
    "step.suspended": StepState.SUSPENDED,
    "step.resumed": StepState.RUNNING,
    "step.completed": StepState.SUCCEEDED,
    "step.retrying": StepState.RETRYING,
    "step.lost": StepState.READY,
    "step.failed": StepState.FAILED,
    "step.skipped": StepState.SKIPPED,
    "step.cancelled": StepState.CANCELLED,
    "step.requeued": StepState.READY,
    "step.restored": StepState.WAITING,
    "step.resolved": StepState.SUCCEEDED,
    "step.reused": StepState.SUCCEEDED,
}
"""The state to which an event says that a step came."""


class StepTrigger(StrEnum):
    """What moves a step."""

    DISPATCH = "dispatch"
    HOLD = "hold"
    """Nothing holds it back but that its run is paused."""
    KEEP = "keep"
    """The worker that set it free goes on with it at once: dispatched and started in one moment."""
    RELEASE = "release"
    """The broker, or the worker that took the message, could not take the step."""
    START = "start"
    SUSPEND = "suspend"
    """It waits for a time or a signal, and gives its worker back."""
    WAKE = "wake"
    """What it waited for has come, or took too long; whoever knows ends the step in the same transaction."""
    SUCCEED = "succeed"
    RESOLVE = "resolve"
    """Somebody said by hand what its result is."""
    RETRY = "retry"
    LOSE = "lose"
    """The process that ran it went away."""
    FAIL = "fail"
    SKIP = "skip"
    CANCEL = "cancel"
    REQUEUE = "requeue"
    """Somebody retried the step after it had failed, or the step whose failure had cancelled it."""
    RESTORE = "restore"
    """Somebody retried the step whose failure had ended this one; it waits for its parents again."""


STEP_TRANSITIONS: Final[Mapping[tuple[StepState, StepTrigger], StepState]] = {
    (StepState.WAITING, StepTrigger.DISPATCH): StepState.DISPATCHED,
    (StepState.WAITING, StepTrigger.HOLD): StepState.READY,
    (StepState.WAITING, StepTrigger.KEEP): StepState.RUNNING,
    (StepState.WAITING, StepTrigger.SKIP): StepState.SKIPPED,
    (StepState.WAITING, StepTrigger.CANCEL): StepState.CANCELLED,
    (StepState.READY, StepTrigger.DISPATCH): StepState.DISPATCHED,
    (StepState.READY, StepTrigger.CANCEL): StepState.CANCELLED,
    (StepState.READY, StepTrigger.RESOLVE): StepState.SUCCEEDED,
    (StepState.DISPATCHED, StepTrigger.RELEASE): StepState.READY,
    (StepState.DISPATCHED, StepTrigger.START): StepState.RUNNING,
    (StepState.DISPATCHED, StepTrigger.CANCEL): StepState.CANCELLED,
    (StepState.DISPATCHED, StepTrigger.RESOLVE): StepState.SUCCEEDED,
    (StepState.RUNNING, StepTrigger.SUCCEED): StepState.SUCCEEDED,
    (StepState.RUNNING, StepTrigger.RESOLVE): StepState.SUCCEEDED,
    (StepState.RUNNING, StepTrigger.SUSPEND): StepState.SUSPENDED,
    (StepState.RUNNING, StepTrigger.RETRY): StepState.RETRYING,
    (StepState.RUNNING, StepTrigger.LOSE): StepState.READY,
    (StepState.RUNNING, StepTrigger.FAIL): StepState.FAILED,
    (StepState.RUNNING, StepTrigger.CANCEL): StepState.CANCELLED,
    (StepState.SUSPENDED, StepTrigger.WAKE): StepState.RUNNING,
    (StepState.SUSPENDED, StepTrigger.CANCEL): StepState.CANCELLED,
    (StepState.SUSPENDED, StepTrigger.RESOLVE): StepState.SUCCEEDED,
    (StepState.RETRYING, StepTrigger.DISPATCH): StepState.DISPATCHED,
    (StepState.RETRYING, StepTrigger.CANCEL): StepState.CANCELLED,
    (StepState.RETRYING, StepTrigger.RESOLVE): StepState.SUCCEEDED,
    (StepState.FAILED, StepTrigger.REQUEUE): StepState.READY,
    (StepState.CANCELLED, StepTrigger.REQUEUE): StepState.READY,
    (StepState.CANCELLED, StepTrigger.RESTORE): StepState.WAITING,
    (StepState.SKIPPED, StepTrigger.RESTORE): StepState.WAITING,
}


def next_step_state(state: StepState, trigger: StepTrigger) -> StepState:
    """Return where ``trigger`` leads from ``state``.

    Raises:
        IllegalTransition: nowhere.
    """
    try:
        return STEP_TRANSITIONS[state, trigger]
    except KeyError:
        raise IllegalTransition(state, trigger) from None

"""RunState, RunTrigger and the run's transition table."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Any, Final

from workflow_engine.errors import IllegalTransition


class RunState(StrEnum):
    """Where a run stands."""

    PENDING = "pending"
    """Accepted; no step has started."""
    RUNNING = "running"
    """At least one step has started."""
    PAUSED = "paused"
    """Nothing new is dispatched; steps that run go on."""
    CANCELLING = "cancelling"
    """Cancelled, but a step still runs."""
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"
    EXPIRED = "expired"
    """Its time ran out before anything started."""


FINAL_RUN_STATES: Final = frozenset({RunState.SUCCEEDED, RunState.FAILED, RunState.CANCELLED, RunState.EXPIRED})

RUN_STATE_AFTER: Final[Mapping[str, RunState]] = {
    "run.submitted": RunState.PENDING,
    "run.started": RunState.RUNNING,
    "run.succeeded": RunState.SUCCEEDED,
    "run.failed": RunState.FAILED,
    "run.cancelling": RunState.CANCELLING,
    "run.cancelled": RunState.CANCELLED,
    "run.expired": RunState.EXPIRED,
    "run.retried": RunState.RUNNING,
    "run.paused": RunState.PAUSED,
    "run.resumed": RunState.RUNNING,
}
"""The state to which an event says that a run came; ``run_state_after`` knows more of ``run.resumed``."""


def run_state_after(event: str, data: Mapping[str, Any]) -> RunState | None:
    """Return the state to which an event with this payload says that a run came; None if it says nothing of it."""
    state = RUN_STATE_AFTER.get(event)
    return RunState(data["state"]) if event == "run.resumed" else state


class RunTrigger(StrEnum):
    """What moves a run."""

    START = "start"
    PAUSE = "pause"
    RESUME = "resume"
    REOPEN = "reopen"
    """It was paused before anything of it had started, and is resumed."""
    SUCCEED = "succeed"
    FAIL = "fail"
    CANCEL = "cancel"
    STOP = "stop"
    """The last running step of a cancelled run has ended."""
    EXPIRE = "expire"
    RETRY = "retry"
    """Somebody retried failed steps of a failed run."""


RUN_TRANSITIONS: Final[Mapping[tuple[RunState, RunTrigger], RunState]] = {
    (RunState.PENDING, RunTrigger.START): RunState.RUNNING,
    (RunState.PENDING, RunTrigger.EXPIRE): RunState.EXPIRED,
    (RunState.PENDING, RunTrigger.CANCEL): RunState.CANCELLING,
    (RunState.PENDING, RunTrigger.FAIL): RunState.FAILED,  # it timed out before any worker took a step of it
    (RunState.PENDING, RunTrigger.PAUSE): RunState.PAUSED,
    (RunState.RUNNING, RunTrigger.PAUSE): RunState.PAUSED,
    (RunState.RUNNING, RunTrigger.SUCCEED): RunState.SUCCEEDED,
    (RunState.RUNNING, RunTrigger.FAIL): RunState.FAILED,
    (RunState.RUNNING, RunTrigger.CANCEL): RunState.CANCELLING,
    (RunState.PAUSED, RunTrigger.RESUME): RunState.RUNNING,
    (RunState.PAUSED, RunTrigger.REOPEN): RunState.PENDING,
    (RunState.PAUSED, RunTrigger.EXPIRE): RunState.EXPIRED,  # a pause does not stop the clock
    (RunState.PAUSED, RunTrigger.SUCCEED): RunState.SUCCEEDED,
    (RunState.PAUSED, RunTrigger.FAIL): RunState.FAILED,
    (RunState.PAUSED, RunTrigger.CANCEL): RunState.CANCELLING,
    (RunState.CANCELLING, RunTrigger.STOP): RunState.CANCELLED,
    (RunState.FAILED, RunTrigger.RETRY): RunState.RUNNING,
}


def next_run_state(state: RunState, trigger: RunTrigger) -> RunState:
    """Return where ``trigger`` leads from ``state``.

    Raises:
        IllegalTransition: nowhere.
    """
    try:
        return RUN_TRANSITIONS[state, trigger]
    except KeyError:
        raise IllegalTransition(state, trigger) from None

"""Why a run does not move: for each of its steps, and for the run as a whole."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from workflow_engine.ids import RunId
from workflow_engine.model.run import RunState
from workflow_engine.model.step import StepState


class Reason(StrEnum):
    """Why a step does not run, or who runs it; of a run: of the step that holds it up, or how the run ended."""

    WAITS_FOR_PARENTS = "waits_for_parents"
    """Some step that it waits for has not succeeded."""
    SCHEDULED = "scheduled"
    """It is due later: the run's scheduled start has not come."""
    BACKOFF = "backoff"
    """An attempt failed; the next one is due later."""
    RUN_PAUSED = "run_paused"
    """The run is paused; nothing of it is handed out."""
    HANDED_BACK = "handed_back"
    """The broker did not take it, or the worker that got it does not have its definition; it is tried again."""
    NO_COORDINATOR = "no_coordinator"
    """It is ready, and no coordinator is there to hand it out."""
    READY = "ready"
    """It is ready; a coordinator leads, and is about to hand it out."""
    NO_WORKER = "no_worker"
    """It was sent to a queue that no living worker serves."""
    WORKERS_BUSY = "workers_busy"
    """It was sent; the workers of its queue are busy, or others are before it."""
    DISPATCHED = "dispatched"
    """It was sent, and a worker of its queue has room: its message is on its way."""
    RUNNING = "running"
    """A worker runs it."""
    WORKER_SILENT = "worker_silent"
    """A worker runs it that was not heard of for longer than its lease; the step is about to be given away."""
    SUSPENDED = "suspended"
    """It waits for a signal, a time or another run, and holds no worker."""
    DEAD_LETTER = "dead_letter"
    """It failed for good, and waits for a person to requeue or discard it."""
    FAILED = "failed"
    """It failed for good. Of a run: because a step did."""
    SKIPPED = "skipped"
    """It will never run, because a step that it waits for did not succeed."""
    CANCELLED = "cancelled"
    """It was cancelled: with its run, or because another step failed. Of a run: somebody cancelled it."""
    SUCCEEDED = "succeeded"
    """Of a run: every step succeeded."""
    EXPIRED = "expired"
    """Of a run: nothing of it had started in time."""
    UNKNOWN = "unknown"
    """Of a run: it has no step that is anything but done, and has not ended. That should not be."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ParentState:
    """A step that another one waits for, and where it stands."""

    step: str
    state: StepState


@dataclass(frozen=True, slots=True, kw_only=True)
class StepExplanation:
    """Why a step that has not succeeded is where it is. Fields that say nothing of it are None, or empty."""

    step: str
    state: StepState
    reason: Reason
    sentence: str
    """For people; it goes on after the step's name: ``runs on w1@host for 12.3 s``."""
    since: datetime | None = None
    """Since when it has been so."""
    until: datetime | None = None
    """Until when it will be so at least (``scheduled``, ``backoff``, ``handed_back``) or at most (``running``)."""
    attempt: int = 0
    """Attempts it has begun, since it was last requeued."""
    max_attempts: int = 1
    queue: str | None = None
    """Where it was sent, or will be."""
    worker: str | None = None
    """Who runs it."""
    error: str | None = None
    """What its last attempt ended with."""
    because: str | None = None
    """What whoever gave it back, skipped or cancelled it said."""
    parents: Sequence[ParentState] = ()
    """Those it still waits for."""
    slots: int | None = None
    """How many steps the living workers of its queue can run at a time; None if one of them does not say."""
    slots_taken: int | None = None
    ahead: int | None = None
    """Steps in its queue that were sent before it."""
    is_counted: bool = True
    """False if there was too much to count: ``slots_taken`` and ``ahead`` are that, or more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PendingTimer:
    """A moment that the run has a timer for."""

    kind: str
    due_at: datetime
    step: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """Why a run is where it is."""

    run_id: RunId
    workflow: str
    version: str
    namespace: str
    state: RunState
    at: datetime
    """The moment it is about, by PostgreSQL's clock."""
    reason: Reason
    """The one thing that holds it up; of a run that has ended: how."""
    step: str | None
    """The step that holds it up, or because of which it ended."""
    sentence: str
    """The same for people."""
    since: datetime | None
    until: datetime | None
    due_at: datetime | None
    expires_at: datetime | None
    """When it expires, if nothing of it has started by then."""
    succeeded: int
    """Steps that have."""
    total: int
    steps: Sequence[StepExplanation]
    """Those that have not, in topological order."""
    is_complete: bool
    """False if the run has more steps than are explained."""
    timers: Sequence[PendingTimer]
    """The next moments that it has timers for, earliest first."""

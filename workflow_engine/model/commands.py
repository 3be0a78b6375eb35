"""What may be asked of a run: imperatives, frozen, each handled in one transaction and safe to repeat."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from workflow_engine.definitions.waiting import Wait
from workflow_engine.ids import RunId
from workflow_engine.model.deadlines import UNCHANGED, Unsaid
from workflow_engine.model.records import Claim
from workflow_engine.model.run_changes import RunChanges
from workflow_engine.model.run_options import RunOptions
from workflow_engine.model.schedule import Timing
from workflow_engine.model.standstills import StaleRun


@dataclass(frozen=True, slots=True, kw_only=True)
class SubmitRun:
    """Store a run of a registered plan."""

    run_id: RunId
    plan_id: int
    input: str
    """JSON text, checked."""
    input_digest: str
    options: RunOptions
    schedule_id: int | None = None
    """Of the schedule of which the run is an occurrence: it is due, whatever its ``scheduled_at``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StepAttempt:
    """The attempt a command is about; a command for any other attempt changes nothing."""

    plan_id: int
    run_id: RunId
    position: int
    attempt: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimStep(StepAttempt):
    """Give a dispatched attempt to a worker."""

    worker_id: str
    worker_name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FollowStep:
    """Claim the first attempt of another step of the run, for the worker that completes one."""

    position: int
    worker_id: str
    worker_name: str
    unknown: tuple[int, ...] = ()
    """Those of its parents whose results the worker does not know."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Onward:
    """What the worker that completes a step means to do with what it sets free."""

    follow: FollowStep | None = None
    """With what it goes on at once, if it is to be had then; the answer says whether it is."""
    kept: frozenset[int] = frozenset()
    """Steps with which it goes on later: they are not sent."""
    short: frozenset[int] = frozenset()
    """Steps that take so little time that several of them may share a message."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CompleteStep(StepAttempt):
    """Record a success and let go of whatever waited for it."""

    result: str
    """JSON text."""
    seconds: float
    claim: Claim
    onward: Onward = Onward()


@dataclass(frozen=True, slots=True, kw_only=True)
class StepError:
    """Why an attempt failed, as it is stored and shown."""

    error_class: str
    message: str
    traceback: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class FailStep(StepAttempt):
    """Record a failure: try again after ``retry_in``, or fail for good where it is None."""

    error: StepError
    retry_in: timedelta | None


@dataclass(frozen=True, slots=True, kw_only=True)
class LoseStep(StepAttempt):
    """The process that ran the attempt is gone: run the step again, unless it has taken too many with it."""

    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RescueSteps:
    """Take up to ``limit`` steps back from workers that were silent for ``lease``, and run them again."""

    lease: timedelta
    limit: int


@dataclass(frozen=True, slots=True, kw_only=True)
class StopStep(StepAttempt):
    """A handler saw that its run was cancelled, and stopped."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SuspendStep(StepAttempt):
    """Let a running attempt wait without its worker; complete it at once if its signal is there already."""

    wait: Wait
    """``until`` is known."""
    claim: Claim


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliverSignal:
    """Keep a signal for a step that will wait for it, or complete the one that does. The answer: was it a new one."""

    run_id: RunId
    name: str
    payload: str
    """JSON text, checked."""
    actor: str | None = None
    key: str | None = None
    """Signals of a run with the same key are one signal."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunCommand:
    """The run a command is about, why it is given and by whom."""

    run_id: RunId
    reason: str | None = None
    actor: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CancelRun(RunCommand):
    """Cancel what has not started; give what runs some time to end."""

    grace: timedelta | None = None
    """How long a step that runs may go on; None is what the settings say."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PauseRun(RunCommand):
    """Start nothing more of a run; let what runs end. The answer: was it going on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ResumeRun(RunCommand):
    """Let a paused run go on. The answer: was it paused."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ResolveStep:
    """Say what a step's result is: it has succeeded, whatever became of its attempts. The answer: was that news."""

    run_id: RunId
    position: int
    result: str
    """JSON text, checked."""
    reason: str
    actor: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RerunRun:
    """Do part of a run that has ended again, in a new run: a step, what comes after it, and what had not succeeded."""

    run_id: RunId
    """Of the new run."""
    of: RunId
    position: int
    input_digest: str
    """Of the earlier run and the step: who uses an idempotency key again means the same."""
    idempotency_key: str | None = None
    reason: str | None = None
    actor: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class UpdateDeadline:
    """Say anew when a run is due and how long before it reminds; what is not said stays as it is."""

    run_id: RunId
    due_at: datetime | Unsaid | None = UNCHANGED
    """None: at no time."""
    remind_before: tuple[timedelta, ...] | Unsaid = UNCHANGED
    """The longest first; none twice."""
    actor: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RunInput:
    """What every run of a schedule gets."""

    text: str
    """JSON text, checked."""
    digest: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ScheduleCommand:
    """The schedule a command is about."""

    namespace: str
    name: str
    actor: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class CreateSchedule(ScheduleCommand):
    """Start runs of a registered workflow again and again."""

    workflow: str
    version: str | None
    input: RunInput
    options: Mapping[str, Any]
    timing: Timing


@dataclass(frozen=True, slots=True, kw_only=True)
class UpdateSchedule(ScheduleCommand):
    """Change some of a schedule; what is not named stays as it is."""

    timing: Mapping[str, Any]
    """Fields of ``Timing``."""
    options: Mapping[str, Any]
    """Options of every run, each in place of what it was."""
    input: RunInput | None
    version: Mapping[str, str | None]
    """Empty, or with a ``version``: None is the newest."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PauseSchedule(ScheduleCommand):
    """Let a schedule rest."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ResumeSchedule(ScheduleCommand):
    """Let a paused schedule go on with its next occurrence."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeleteSchedule(ScheduleCommand):
    """Forget a schedule; its runs go on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReleaseSteps:
    """Take back steps that could not be handed over; they are due again after ``retry_in``."""

    attempts: Sequence[StepAttempt]
    reason: str
    retry_in: timedelta


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessReadiness:
    """Dispatch up to ``limit`` steps that are ready: of these runs, or of any."""

    limit: int
    run_ids: Sequence[RunId] | None = None
    triggered_by: str = "step_ready"
    """How we know: a notice of a step (``step_ready``) or of a run (``run_state``), ``catch_up`` after a time without
    notices, ``fallback_polling``, ``broker_back``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FireTimers:
    """Do what up to ``limit`` timers that are due were set for."""

    limit: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RetrySteps:
    """Run failed steps of one run again, and with them what ended because of them; a failed run goes on.

    Each has all its attempts before it again; their numbers go on. The answer is a ``Retried``.
    """

    run_id: RunId
    positions: Sequence[int] = ()
    """Steps with a dead letter; none named are all that have failed, also those whose dead letters were discarded."""
    reason: str | None = None
    actor: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DiscardSteps:
    """Give failed steps of one run up for good; they stay as they are. The answer is their number."""

    run_id: RunId
    positions: Sequence[int]
    reason: str | None = None
    actor: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TellStandstills:
    """Tell that runs stand still, unless it was told; the answer is how many were news."""

    runs: Sequence[StaleRun]


@dataclass(frozen=True, slots=True, kw_only=True)
class UpdateRun:
    """Say something anew about a run that has not ended. The answer: the names of what changed."""

    run_id: RunId
    changes: RunChanges
    actor: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DeleteRuns:
    """Forget runs that have ended, with their steps. The answer is a ``DeletedRuns``."""

    run_ids: Sequence[RunId]
    reason: str | None = None
    actor: str | None = None


Command = (
    SubmitRun
    | ClaimStep
    | CompleteStep
    | FailStep
    | LoseStep
    | RescueSteps
    | StopStep
    | SuspendStep
    | DeliverSignal
    | CancelRun
    | PauseRun
    | ResumeRun
    | ResolveStep
    | RerunRun
    | UpdateDeadline
    | UpdateRun
    | DeleteRuns
    | CreateSchedule
    | UpdateSchedule
    | PauseSchedule
    | ResumeSchedule
    | DeleteSchedule
    | ReleaseSteps
    | RetrySteps
    | DiscardSteps
    | ProcessReadiness
    | FireTimers
    | TellStandstills
)

"""The one definition of readiness: why each step of a run is where it is, and what holds the run up. Reads nothing."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any, Final

from workflow_engine.model.durations import duration
from workflow_engine.model.explanation import Explanation, ParentState, PendingTimer, Reason, StepExplanation
from workflow_engine.model.run import FINAL_RUN_STATES, RunState
from workflow_engine.model.step import StepState
from workflow_engine.plan.plan import Plan
from workflow_engine.store.explanations import Loads, RunFacts, StepFacts, TimerFacts, ToldFact, WorkerFacts

_NAMED: Final = 5
"""Names that a sentence holds."""
LEADS_WITHIN: Final = timedelta(seconds=6)
"""A leader says every second that it is there; one silent for longer than this is not."""


@dataclass(frozen=True, kw_only=True)
class Situation:
    """All that is known of a run at one moment."""

    run: RunFacts
    plan: Plan
    steps: Sequence[StepFacts]
    """Those that have not succeeded, in topological order; a parent that is not among them has."""
    workers: Sequence[WorkerFacts] = ()
    loads: Loads = field(default_factory=lambda: Loads(ahead={}, running={}, is_counted=True))
    told: Sequence[ToldFact] = ()
    """The newest first."""
    timers: Sequence[TimerFacts] = ()
    lease: timedelta
    default_queue: str
    is_complete: bool = True

    @cached_property
    def states(self) -> Mapping[int, StepState]:
        """Where the steps are, by position."""
        return {step.position: step.state for step in self.steps}

    @cached_property
    def last_told(self) -> Mapping[tuple[str, str | None], ToldFact]:
        """The last event of each name and step."""
        return {(fact.name, fact.step): fact for fact in reversed(self.told)}

    @cached_property
    def own_order(self) -> Mapping[int, int]:
        """How many steps of this run are in the same queue from before, by position."""
        sent = sorted(
            (step for step in self.steps if step.state is StepState.DISPATCHED and step.dispatched_at),
            key=lambda step: (step.dispatched_at or self.run.at, step.position),
        )
        order: dict[int, int] = {}
        seen: dict[str | None, int] = {}
        for step in sent:
            queue = self.plan[step.position].queue
            order[step.position] = seen.get(queue, 0)
            seen[queue] = order[step.position] + 1
        return order

    @property
    def has_leader(self) -> bool:
        """Whether a coordinator leads."""
        heard = self.run.leader_heard_at
        return heard is not None and self.run.at - heard <= LEADS_WITHIN

    def ago(self, moment: datetime | None) -> str:
        """Return how long ago a moment was."""
        return duration(self.run.at - moment) if moment else "some time"

    def is_alive(self, heard_at: datetime | None) -> bool:
        """Return whether a worker was heard of within its lease."""
        return heard_at is not None and self.run.at - heard_at <= self.lease


def explain(situation: Situation) -> Explanation:
    """Return why a run is where it is."""
    run = situation.run
    steps = [_BY_STATE[step.state](situation, step) for step in situation.steps]
    held = _ended(situation, steps) if run.state in FINAL_RUN_STATES else _held_up(situation, steps)
    return Explanation(
        run_id=run.run_id,
        workflow=run.workflow,
        version=run.version,
        namespace=run.namespace,
        state=run.state,
        at=run.at,
        reason=held.reason,
        step=held.step,
        sentence=held.sentence,
        since=held.since,
        until=held.until,
        due_at=run.due_at,
        expires_at=run.expires_at if run.state is RunState.PENDING else None,
        succeeded=run.by_state.get(StepState.SUCCEEDED, 0),
        total=len(situation.plan),
        steps=steps,
        is_complete=situation.is_complete,
        timers=[_timer(situation, timer) for timer in situation.timers],
    )


# --- the run


@dataclass(frozen=True, slots=True, kw_only=True)
class _Held:
    reason: Reason
    sentence: str
    step: str | None = None
    since: datetime | None = None
    until: datetime | None = None


_GRAVITY: Final = (
    Reason.RUN_PAUSED,
    Reason.NO_COORDINATOR,
    Reason.NO_WORKER,
    Reason.HANDED_BACK,
    Reason.WORKER_SILENT,
    Reason.WORKERS_BUSY,
    Reason.DISPATCHED,
    Reason.READY,
    Reason.RUNNING,
    Reason.BACKOFF,
    Reason.SCHEDULED,
    Reason.SUSPENDED,
    Reason.WAITS_FOR_PARENTS,
)
"""What holds a run up, the gravest first: what somebody must mend, what others must do, what only time does."""


def _held_up(situation: Situation, steps: Sequence[StepExplanation]) -> _Held:
    by_reason: dict[Reason, list[StepExplanation]] = {}
    for step in steps:
        by_reason.setdefault(step.reason, []).append(step)
    reason = next((each for each in _GRAVITY if each in by_reason), None)
    if reason is None:
        return _Held(reason=Reason.UNKNOWN, sentence="no step of it is left, and it has not ended")
    first, *others = by_reason[reason]
    more = f"; so do {len(others)} more steps" if len(others) > 1 else "; so does 1 more step" if others else ""
    sentence = f"step {first.step} {first.sentence}{more}"
    if situation.run.state is RunState.CANCELLING:
        sentence = f"it is being cancelled{_by_whom(situation, 'run.cancelling')}, and {sentence}"
    return _Held(reason=reason, sentence=sentence, step=first.step, since=first.since, until=first.until)


def _ended(situation: Situation, steps: Sequence[StepExplanation]) -> _Held:
    run = situation.run
    took = f"after {duration(run.finished_at - run.created_at)}" if run.finished_at else ""
    if run.state is RunState.SUCCEEDED:
        return _Held(reason=Reason.SUCCEEDED, sentence=f"it succeeded {took}", since=run.finished_at)
    if run.state is RunState.CANCELLED:
        sentence = f"it was cancelled{_by_whom(situation, 'run.cancelling')}, {took}"
        return _Held(reason=Reason.CANCELLED, sentence=sentence, since=run.finished_at)
    if run.state is RunState.EXPIRED:
        return _Held(
            reason=Reason.EXPIRED, sentence=f"it expired {took}: no step of it had started", since=run.finished_at
        )
    name = (run.error or {}).get("step")
    culprit = next((step for step in steps if step.step == name), None)
    what = culprit.sentence if culprit else f"failed with {_error(run.error)}"
    return _Held(
        reason=Reason.FAILED, sentence=f"it failed {took}: step {name} {what}", step=name, since=run.finished_at
    )


def _by_whom(situation: Situation, event: str) -> str:
    fact = situation.last_told.get((event, None))
    if fact is None:
        return ""
    actor, reason = fact.data.get("actor"), fact.data.get("reason")
    return (f" by {actor}" if actor else "") + (f" ({reason})" if reason else "")


def _timer(situation: Situation, timer: TimerFacts) -> PendingTimer:
    step = None if timer.position is None else situation.plan[timer.position].name
    return PendingTimer(kind=timer.kind, due_at=timer.due_at, step=step)


# --- its steps


def _step(situation: Situation, step: StepFacts, reason: Reason, sentence: str, **facts: Any) -> StepExplanation:
    planned = situation.plan[step.position]
    return StepExplanation(
        step=planned.name,
        state=step.state,
        reason=reason,
        sentence=sentence,
        attempt=max(step.attempt - step.forgiven, 0),
        max_attempts=int(planned.retry.get("max_attempts", 1)),
        queue=planned.queue or situation.default_queue,
        error=_step_error(step),
        **facts,
    )


def _waiting(situation: Situation, step: StepFacts) -> StepExplanation:
    plan, states = situation.plan, situation.states
    parents = [
        ParentState(step=plan[parent].name, state=states[parent])
        for parent in plan[step.position].parents
        if parent in states
    ]
    named = ", ".join(f"{parent.step} ({parent.state})" for parent in parents[:_NAMED])
    more = f" and {len(parents) - _NAMED} more" if len(parents) > _NAMED else ""
    return _step(situation, step, Reason.WAITS_FOR_PARENTS, f"waits for {named}{more}", parents=tuple(parents))


def _ready(situation: Situation, step: StepFacts) -> StepExplanation:
    run, due = situation.run, step.ready_at or situation.run.at
    if run.state is RunState.PAUSED:
        sentence = f"is ready, and its run is paused{_by_whom(situation, 'run.paused')}"
        return _step(situation, step, Reason.RUN_PAUSED, sentence, since=step.ready_at)
    if due > run.at:
        return _due_later(situation, step, due)
    waited = f"has been ready for {duration(run.at - due)}"
    if not situation.has_leader:
        last = f"; {run.leader} did until {situation.ago(run.leader_heard_at)} ago" if run.leader else ""
        return _step(
            situation, step, Reason.NO_COORDINATOR, f"{waited}, and no coordinator leads that hands it out{last}",
            since=due,
        )  # fmt: skip
    released = _released(situation, step)
    if released is not None:
        return _handed_back(situation, step, released, since=due)
    return _step(
        situation, step, Reason.READY,
        f"{waited}; coordinator {run.leader} hands it out, as soon as the broker takes steps", since=due,
    )  # fmt: skip


def _due_later(situation: Situation, step: StepFacts, due: datetime) -> StepExplanation:
    wait = duration(due - situation.run.at)
    if step.state is StepState.RETRYING:
        limit = situation.plan[step.position].retry.get("max_attempts", 1)
        sentence = (
            f"failed with {_step_error(step)} in attempt {step.attempt - step.forgiven} of {limit}; "
            f"the next one is due in {wait}"
        )
        return _step(situation, step, Reason.BACKOFF, sentence, until=due)
    released = _released(situation, step)
    if released is not None:
        return _handed_back(situation, step, released, until=due)
    return _step(situation, step, Reason.SCHEDULED, f"is scheduled to start in {wait}", until=due)


def _released(situation: Situation, step: StepFacts) -> ToldFact | None:
    """Return how a step was last given back, unless it has been started since."""
    fact = situation.last_told.get(("step.released", situation.plan[step.position].name))
    if fact is None or (step.started_at is not None and fact.occurred_at < step.started_at):
        return None
    return fact


def _handed_back(situation: Situation, step: StepFacts, released: ToldFact, **when: datetime) -> StepExplanation:
    because = str(released.data.get("reason"))
    again = f"in {duration(when['until'] - situation.run.at)}" if "until" in when else "now"
    sentence = f"was given back {situation.ago(released.occurred_at)} ago: {because}; it is sent again {again}"
    facts = {"since": released.occurred_at, **when}
    return _step(situation, step, Reason.HANDED_BACK, sentence, because=because, **facts)


def _dispatched(situation: Situation, step: StepFacts) -> StepExplanation:
    queue = situation.plan[step.position].queue
    name = queue or situation.default_queue
    living = [worker for worker in situation.workers if situation.is_alive(worker.heard_at)]
    serving = [worker for worker in living if name in worker.queues]
    if not serving and all(worker.queues for worker in living):
        return _without_worker(situation, step, name)
    ahead = situation.loads.ahead.get((step.run_id, queue), 0) + situation.own_order.get(step.position, 0)
    known = [worker.concurrency for worker in serving if worker.concurrency is not None]
    slots = sum(known) if known and len(known) == len(serving) else None
    taken = sum(situation.loads.running.get(worker.id, 0) for worker in serving)
    facts = {
        "since": step.dispatched_at,
        "slots": slots,
        "slots_taken": taken,
        "ahead": ahead,
        "is_counted": situation.loads.is_counted,
    }
    sent = f"was sent to queue {name} {situation.ago(step.dispatched_at)} ago"
    if ahead or (slots is not None and taken >= slots):
        sentence = f"{sent}, whose workers run {taken} of {slots or '?'} steps; {_at_least(situation)}{ahead} before it"
        return _step(situation, step, Reason.WORKERS_BUSY, sentence, **facts)
    released = _released(situation, step)
    if released is not None:
        return _handed_back(situation, step, released)
    again = f"; its message was sent again {step.resends} times" if step.resends else ""
    return _step(situation, step, Reason.DISPATCHED, f"{sent}, and a worker has room for it{again}", **facts)


def _at_least(situation: Situation) -> str:
    return "" if situation.loads.is_counted else "at least "


def _without_worker(situation: Situation, step: StepFacts, queue: str) -> StepExplanation:
    last = max((worker.heard_at for worker in situation.workers if queue in worker.queues), default=None)
    since = max((moment for moment in (step.dispatched_at, last) if moment), default=None)
    gone = f"; the last one was heard of {situation.ago(last)} ago" if last else ""
    sentence = f"was sent to queue {queue} {situation.ago(step.dispatched_at)} ago, which no living worker serves{gone}"
    return _step(situation, step, Reason.NO_WORKER, sentence, since=since)


def _running(situation: Situation, step: StepFacts) -> StepExplanation:
    planned, worker = situation.plan[step.position], step.worker or "a worker that is not known any more"
    since = situation.ago(step.started_at)
    if not situation.is_alive(step.worker_heard_at):
        then = "a coordinator gives it away" if situation.has_leader else "no coordinator leads that gives it away"
        heard = f"which was last heard of {situation.ago(step.worker_heard_at)} ago" if step.worker else "and lost"
        return _step(
            situation, step, Reason.WORKER_SILENT, f"was started {since} ago by {worker}, {heard}; {then}",
            since=step.worker_heard_at or step.started_at, worker=step.worker,
        )  # fmt: skip
    limit = None
    if planned.timeout is not None and step.started_at is not None:
        limit = step.started_at + timedelta(seconds=planned.timeout)
    bounded = f", for {duration(limit - situation.run.at)} more at most" if limit else ""
    sentence = f"has run for {since} on {worker}, heard of {situation.ago(step.worker_heard_at)} ago{bounded}"
    return _step(situation, step, Reason.RUNNING, sentence, since=step.started_at, until=limit, worker=step.worker)


def _suspended(situation: Situation, step: StepFacts) -> StepExplanation:
    wait = situation.plan[step.position].wait
    due = next(
        (each.due_at for each in situation.timers if (each.kind, each.position) == ("wake", step.position)), None
    )
    what = "a signal, a time or another run" if wait is None else "its time"
    if wait is not None and wait.signal is not None:
        what = f"signal {wait.signal!r}"
    limit = f", for {duration(due - situation.run.at)} more at most" if due else ""
    return _step(situation, step, Reason.SUSPENDED, f"waits for {what}{limit}", since=step.started_at, until=due)


def _failed(situation: Situation, step: StepFacts) -> StepExplanation:
    attempts, limit = step.attempt - step.forgiven, situation.plan[step.position].retry.get("max_attempts", 1)
    sentence = f"failed with {_step_error(step)} in attempt {attempts} of {limit}"
    if step.is_dead_letter:
        sentence += "; its dead letter waits for somebody to requeue or discard it"
        return _step(situation, step, Reason.DEAD_LETTER, sentence, since=step.finished_at)
    return _step(situation, step, Reason.FAILED, sentence, since=step.finished_at)


def _given_up(situation: Situation, step: StepFacts) -> StepExplanation:
    skipped = step.state is StepState.SKIPPED
    event, name = ("step.skipped" if skipped else "step.cancelled"), situation.plan[step.position].name
    fact = situation.last_told.get((event, name))
    because = str(fact.data.get("because")) if fact else None
    why = "" if because is None else f", because {because} did not succeed" if skipped else f": {because}"
    reason = Reason.SKIPPED if skipped else Reason.CANCELLED
    return _step(situation, step, reason, f"was {step.state}{why}", since=step.finished_at, because=because)


def _succeeded(situation: Situation, step: StepFacts) -> StepExplanation:
    return _step(situation, step, Reason.SUCCEEDED, "succeeded", since=step.finished_at)


def _step_error(step: StepFacts) -> str | None:
    if step.error_class is None:
        return None
    return f"{step.error_class}: {step.error_message}" if step.error_message else step.error_class


def _error(error: Mapping[str, Any] | None) -> str:
    return f"{error.get('error_class', 'error')}: {error.get('message', '')}" if error else "an error"


_BY_STATE: Final[Mapping[StepState, Callable[[Situation, StepFacts], StepExplanation]]] = {
    StepState.WAITING: _waiting,
    StepState.READY: _ready,
    StepState.RETRYING: _ready,
    StepState.DISPATCHED: _dispatched,
    StepState.RUNNING: _running,
    StepState.SUSPENDED: _suspended,
    StepState.SUCCEEDED: _succeeded,
    StepState.FAILED: _failed,
    StepState.SKIPPED: _given_up,
    StepState.CANCELLED: _given_up,
}

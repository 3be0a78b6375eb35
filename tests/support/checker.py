"""Read the event log and the steps of every run, and prove that nothing was lost, doubled or out of order."""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import pairwise
from typing import Any, Final, Protocol

from tests.support.processes import Stage, Traced
from workflow_engine.model.run import FINAL_RUN_STATES, RUN_STATE_AFTER, RUN_TRANSITIONS, RunState, run_state_after
from workflow_engine.model.step import FINAL_STEP_STATES, STEP_STATE_AFTER, STEP_TRANSITIONS, StepState, StepTrigger
from workflow_engine.plan.plan import Plan

_RUN_MOVES: Final = {(before, after) for (before, _), after in RUN_TRANSITIONS.items()}
_STEP_MOVES: Final = {(before, after) for (before, by), after in STEP_TRANSITIONS.items() if by is not StepTrigger.KEEP}
"""A kept step's row goes from waiting to running at once; its events tell that it was dispatched, and started."""
_ATTEMPT_ENDS: Final = frozenset({"step.completed", "step.retrying", "step.lost", "step.failed"})
_ENDS_OF_SOME: Final = frozenset({"step.cancelled", "step.resolved"})
"""Those that end an attempt if they name one."""
_SUCCESSES: Final = ("step.completed", "step.resolved", "step.reused")
_MOST_PRINTED: Final = 40


class Rows(Protocol):
    """What answers the checker's queries: a stage, or a database without one."""

    def rows(self, query: str, *values: Any) -> list[Any]:
        """Run a query."""


class Calls(Protocol):
    """What knows the calls of handlers."""

    def traced(self) -> list[Traced]:
        """Return them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """Everything the database knows about one run."""

    run: Any
    plan: Plan
    steps: Sequence[Any]
    events: Sequence[Any]
    dead_letters: Sequence[Any] = ()
    problems: list[str] = field(default_factory=list)

    def expect(self, condition: object, problem: str) -> None:
        """Note a problem unless the condition holds."""
        if not condition:
            self.problems.append(f"run {self.run.id} ({self.run.workflow}, {self.run.state}): {problem}")

    def moves(self) -> list[Any]:
        """Return the events that tell where the run itself came."""
        return [event for event in self.events if event.step is None and event.name in RUN_STATE_AFTER]

    def moves_of(self, step: Any) -> list[Any]:
        """Return the events that tell where a step came."""
        return [event for event in self.events if event.step == step.name and event.name in STEP_STATE_AFTER]


def check(stage: Stage, *, claims_may_be_lost: bool | Collection[str] = False) -> int:
    """Prove every promise about every run on a stage; return how many runs there are.

    What the database says must hold (``find_problems``), and no handler was called twice for one attempt, unless a
    crash of the database may have lost claims, which do not wait for the disk: in every run, or in those named.
    """
    histories = read(stage)
    problems = find_problems(stage, histories, claims_may_be_lost=claims_may_be_lost)
    problems += check_calls(stage, [each for each in histories if not may_lack(each, claims_may_be_lost)])
    assert not problems, described(problems)
    return len(histories)


def described(problems: Sequence[str]) -> str:
    """Return what a test prints that fails on them."""
    return "\n".join([f"{len(problems)} broken promise(s):", *problems[:_MOST_PRINTED]])


def find_problems(
    source: Rows, histories: Sequence[History] | None = None, *, claims_may_be_lost: bool | Collection[str] = False
) -> list[str]:
    """Return what is wrong with the runs in a database; nothing, it should be.

    - Each run has ended, and so has each of its steps. Their events, replayed from the beginning, make no move but
      those of the transition tables, and lead to the states in the rows: so each ended once, and once more each time
      that somebody retried what had failed, and nothing came after.
    - A step has a dead letter for each time it failed for good, and each says what became of it.
    - A step has one completion if it succeeded and else none.
    - Attempts are numbered from 1 without gaps; each began at most once, after it was dispatched, and each that began
      has one end, which tells the very moment at which it began: the claim on record is the one that was completed.
    - No step was dispatched before all its parents had completed.
    - Within a step time only goes forward, whoever's clock is wrong; no fact is told twice.
    - Nothing is left over: no step or event without a run, no timer of a run that is over.
    """
    histories = read(source) if histories is None else histories
    for history in histories:
        check_history(history, claims_may_be_lost=claims_may_be_lost)
    return [problem for history in histories for problem in history.problems] + list(find_leftovers(source))


def check_history(history: History, *, claims_may_be_lost: bool | Collection[str] = False) -> None:
    """Note in a history what is wrong with it."""
    check_run(history)
    for step in history.steps:
        check_step(history, step)
        check_attempts(history, step)
        check_dead_letters(history, step)
        if not may_lack(history, claims_may_be_lost):
            check_claims(history, step)
    check_order(history)
    check_repetitions(history)


def may_lack(history: History, claims: bool | Collection[str]) -> bool:
    """Tell whether a run may have lost claims."""
    return claims if isinstance(claims, bool) else str(history.run.id) in claims


def read(source: Rows) -> list[History]:
    """Read the history of every run, in one snapshot a table."""
    steps, events, dead_letters = defaultdict(list), defaultdict(list), defaultdict(list)
    for row in source.rows(
        "SELECT steps.*, plan_steps.name FROM steps JOIN runs ON runs.id = steps.run_id "
        "JOIN plan_steps ON plan_steps.plan_id = runs.plan_id AND plan_steps.position = steps.position"
    ):
        steps[row.run_id].append(row)
    for row in source.rows("SELECT * FROM events ORDER BY id"):
        events[row.run_id].append(row)
    for row in source.rows("SELECT * FROM step_dead_letters"):
        dead_letters[row.run_id].append(row)
    plans = {row.id: _plan(row) for row in source.rows("SELECT * FROM plans")}
    return [
        History(
            run=run,
            plan=plans[run.plan_id],
            steps=steps[run.id],
            events=events[run.id],
            dead_letters=dead_letters[run.id],
        )
        for run in source.rows("SELECT * FROM runs ORDER BY created_at")
    ]


def check_run(history: History) -> None:
    """The run began in time and has ended; its events lead there, and nothing of it comes after its end."""
    run, moves = history.run, history.moves()
    history.expect(run.state in FINAL_RUN_STATES, "has not ended")
    history.expect(moves and moves[0].name == "run.submitted", f"began with {moves[0].name if moves else 'nothing'}")
    state = RunState.PENDING
    for event in moves[1:]:
        after = run_state_after(event.name, event.data)
        history.expect((state, after) in _RUN_MOVES, f"{event.name} came when it was {state}")
        state = after
    history.expect(state == run.state, f"its events lead to {state}")
    history.expect(len(history.steps) == len(history.plan), f"{len(history.steps)} steps of {len(history.plan)}")
    if run.state == "succeeded":
        unfinished = [step.name for step in history.steps if step.state != "succeeded"]
        history.expect(not unfinished, f"succeeded without {unfinished}")
    early = run.scheduled_at and run.started_at and run.started_at < run.scheduled_at
    history.expect(not early, f"started at {run.started_at}, before its time, {run.scheduled_at}")
    if state in FINAL_RUN_STATES:
        late = [
            f"{each.name} of {each.step}"
            for each in history.events
            if each.name in STEP_STATE_AFTER
            # With its end is not after it. Nor is what the log has before it: of two last steps, the one that ended
            # sooner may be the one that waits for the run's row, and then ends the run.
            and each.id > moves[-1].id
            and each.occurred_at > moves[-1].occurred_at
        ]
        history.expect(not late, f"{late} came after its end")


def check_step(history: History, step: Any) -> None:
    """The step has ended; its events lead there by legal moves, through attempts without gaps."""
    where = f"step {step.name} ({step.state})"
    events = history.moves_of(step)
    history.expect(step.state in FINAL_STEP_STATES, f"step {step.name} is {step.state}")
    state, attempt = StepState.WAITING, 0
    for event in events:
        after = STEP_STATE_AFTER[event.name]
        born = event.name == "step.reused" and event is events[0]
        if event.name == "step.resolved" and event.data["was"] == "ready" and state is StepState.WAITING:
            state = StepState.READY  # where it comes silently: born so, or let go while its run was paused
        history.expect(born or (state, after) in _STEP_MOVES, f"{where}: {event.name} came when it was {state}")
        attempt += {"step.dispatched": 1, "step.released": -1}.get(event.name, 0)
        history.expect(
            event.attempt in {None, attempt}, f"{where}: {event.name} of attempt {event.attempt} during {attempt}"
        )
        state = after
    history.expect(state == step.state, f"{where}: its events lead to {state}")
    history.expect(attempt == step.attempt, f"{where}: its row has attempt {step.attempt}, its events {attempt}")
    completions, wanted = sum(event.name in _SUCCESSES for event in events), int(step.state == "succeeded")
    history.expect(completions == wanted, f"{where}: {completions} completions, not {wanted}")
    backwards = [later.name for sooner, later in pairwise(events) if later.occurred_at < sooner.occurred_at]
    history.expect(not backwards, f"{where}: {backwards} happened before what led there")


def check_attempts(history: History, step: Any) -> None:
    """Each attempt that began has one end, and none has an end that never began."""
    events = history.moves_of(step)
    started = Counter(event.attempt for event in events if event.name == "step.started")
    ended = Counter(event.attempt for event in ends_of_attempts(events))
    for attempt in started.keys() | ended.keys():
        where = f"step {step.name}: attempt {attempt}"
        history.expect(started[attempt] == 1, f"{where} began {started[attempt]} times")
        history.expect(ended[attempt] == 1, f"{where} ended {ended[attempt]} times")


def check_dead_letters(history: History, step: Any) -> None:
    """The step has a dead letter for each time it failed for good, and each says what became of it."""
    events = [event for event in history.events if event.step == step.name]
    wanted = {event.attempt: "dead" for event in events if event.name == "step.failed"}
    for name, state in (("step.discarded", "discarded"), ("step.requeued", "requeued")):
        # a retry of the whole run takes back what was discarded; the dead letter stays closed as it was
        wanted |= {each.attempt: state for each in events if each.name == name and wanted.get(each.attempt) == "dead"}
    for sooner, later in pairwise(events):
        by_hand = later.name == "step.resolved" and later.data["was"] == "failed" and sooner.name == "step.requeued"
        if by_hand and wanted.get(sooner.attempt) == "requeued":
            wanted[sooner.attempt] = "resolved"
    letters = {letter.attempt: letter.state for letter in history.dead_letters if letter.position == step.position}
    history.expect(letters == wanted, f"step {step.name} has dead letters {letters}, not {wanted}")


def check_claims(history: History, step: Any) -> None:
    """An end of an attempt tells the moment at which it was claimed: who ended it is who held it."""
    events = history.moves_of(step)
    claimed = {event.attempt: event.occurred_at for event in events if event.name == "step.started"}
    for event in ends_of_attempts(events):
        if event.name == "step.resolved":  # whoever did that held no claim
            continue
        told, began = datetime.fromisoformat(event.data["started_at"]), claimed.get(event.attempt)
        history.expect(
            told == began, f"step {step.name}: {event.name} tells of a claim at {told}, the log of one at {began}"
        )


def ends_of_attempts(events: Sequence[Any]) -> list[Any]:
    """Return the events that end an attempt which had begun."""
    return [
        event
        for event in events
        if event.name in _ATTEMPT_ENDS or (event.name in _ENDS_OF_SOME and event.attempt is not None)
    ]


def check_order(history: History) -> None:
    """No step was dispatched before every parent had completed."""
    first: dict[tuple[str, str | None], int] = {}
    for event in history.events:
        first.setdefault((event.name, event.step), event.id)
    for step in history.plan:
        began = first.get(("step.dispatched", step.name))
        for parent in history.plan.names(step.parents):
            completed = min((first[name, parent] for name in _SUCCESSES if (name, parent) in first), default=None)
            in_order = began is None or (completed is not None and completed < began)
            history.expect(in_order, f"step {step.name} was dispatched before {parent} had completed")


def check_repetitions(history: History) -> None:
    """No fact stands in the log twice."""
    facts = Counter((event.name, event.step, event.attempt, event.occurred_at) for event in history.events)
    for (name, step, attempt, _), times in facts.items():
        history.expect(times == 1, f"{name} of step {step}, attempt {attempt}, is told {times} times")


def find_leftovers(source: Rows) -> Iterator[str]:
    """Yield what belongs to no run, or to one that is over."""
    for row in source.rows("SELECT run_id, position FROM steps WHERE run_id NOT IN (SELECT id FROM runs)"):
        yield f"step {row.position} of run {row.run_id}, which does not exist"
    for row in source.rows("SELECT id, name, run_id FROM events WHERE run_id NOT IN (SELECT id FROM runs)"):
        yield f"event {row.id}, {row.name}, of run {row.run_id}, which does not exist"
    for row in source.rows("SELECT run_id, name FROM deferred_events"):
        yield f"{row.name} of run {row.run_id} never came to the log"
    for row in source.rows(
        "SELECT timers.kind, timers.run_id FROM timers LEFT JOIN runs ON runs.id = timers.run_id "
        "WHERE timers.run_id IS NOT NULL AND (runs.id IS NULL OR runs.finished_at IS NOT NULL) "
        # Those of a delay that was cut short are left, where the run succeeded, to come due and find nothing.
        "AND NOT (timers.kind = 'step_ready' AND runs.state = 'succeeded')"
    ):
        yield f"a timer ({row.kind}) of run {row.run_id}, which is over"


def check_calls(stage: Calls, histories: Sequence[History]) -> list[str]:
    """Every call of these runs' handlers belongs to an attempt that was claimed, and no attempt was called twice."""
    ours = {str(history.run.id) for history in histories}
    calls = Counter((call.run_id, call.step, call.attempt) for call in stage.traced() if call.run_id in ours)
    started = {
        (str(event.run_id), event.step, event.attempt)
        for history in histories
        for event in history.events
        if event.name == "step.started"
    }
    twice = [f"{call} was called {times} times" for call, times in calls.items() if times > 1]
    return twice + [f"{call} was called without a claim" for call in calls.keys() - started]


def _plan(row: Any) -> Plan:
    return Plan.from_json(row.definition, namespace=row.namespace, workflow=row.workflow, version=row.version)

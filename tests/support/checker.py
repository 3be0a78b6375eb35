"""Read the event log and the steps of every run, and prove that nothing was lost, doubled or out of order."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.support.processes import Stage
from workflow_engine.plan.plan import Plan

_RUN_ENDS = {
    "succeeded": "run.succeeded",
    "failed": "run.failed",
    "cancelled": "run.cancelled",
    "expired": "run.expired",
}
_STEP_ENDS = {
    "succeeded": "step.completed",
    "failed": "step.failed",
    "skipped": "step.skipped",
    "cancelled": "step.cancelled",
}
_ATTEMPT_ENDS = ("step.completed", "step.retrying", "step.lost", "step.failed")


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """Everything the database knows about one run."""

    run: Any
    plan: Plan
    steps: Sequence[Any]
    events: Sequence[Any]
    problems: list[str] = field(default_factory=list)

    def expect(self, condition: object, problem: str) -> None:
        """Note a problem unless the condition holds."""
        if not condition:
            self.problems.append(f"run {self.run.id} ({self.run.workflow}, {self.run.state}): {problem}")


def check(stage: Stage, *, claims_may_be_lost: bool = False) -> int:
    """Prove every promise about every run on a stage; return how many runs there are.

    Each run has ended, and says so once; each step has ended in exactly one way; each attempt that began has exactly
    one end; attempts are numbered without gaps; no step began before all its parents had completed; and no handler
    was called twice for one attempt, unless a database crash may have lost claims: those do not wait for the disk.
    """
    histories = read(stage)
    for history in histories:
        check_run(history)
        for step in history.steps:
            check_step(history, step, [event for event in history.events if event.step == step.name])
        check_order(history)
    problems = [problem for history in histories for problem in history.problems]
    if not claims_may_be_lost:
        problems += check_calls(stage, histories)
    assert not problems, "\n".join([f"{len(problems)} broken promise(s):", *problems[:40]])
    return len(histories)


def read(stage: Stage) -> list[History]:
    """Read the history of every run, in one snapshot a table."""
    steps, events = defaultdict(list), defaultdict(list)
    for row in stage.rows(
        "SELECT steps.*, plan_steps.name FROM steps JOIN runs ON runs.id = steps.run_id "
        "JOIN plan_steps ON plan_steps.plan_id = runs.plan_id AND plan_steps.position = steps.position"
    ):
        steps[row.run_id].append(row)
    for row in stage.rows("SELECT * FROM events ORDER BY id"):
        events[row.run_id].append(row)
    plans = {row.id: _plan(row) for row in stage.rows("SELECT * FROM plans")}
    return [
        History(run=run, plan=plans[run.plan_id], steps=steps[run.id], events=events[run.id])
        for run in stage.rows("SELECT * FROM runs ORDER BY created_at")
    ]


def check_run(history: History) -> None:
    """The run has ended and its events tell how, once."""
    names = Counter(event.name for event in history.events if event.step is None)
    expected_end = _RUN_ENDS.get(history.run.state)
    history.expect(expected_end, "has not ended")
    for end in _RUN_ENDS.values():
        wanted = 1 if end == expected_end else 0
        history.expect(names[end] == wanted, f"{names[end]} {end} events, not {wanted}")
    history.expect(names["run.submitted"] == 1, f"{names['run.submitted']} run.submitted events")
    history.expect(names["run.started"] <= 1, f"{names['run.started']} run.started events")
    history.expect(len(history.steps) == len(history.plan), f"{len(history.steps)} steps of {len(history.plan)}")
    if history.run.state == "succeeded":
        unfinished = [step.name for step in history.steps if step.state != "succeeded"]
        history.expect(not unfinished, f"succeeded without {unfinished}")


def check_step(history: History, step: Any, events: Sequence[Any]) -> None:
    """The step has ended in one way, and so has every attempt of it."""
    names = Counter(event.name for event in events)
    expected_end = _STEP_ENDS.get(step.state)
    history.expect(expected_end, f"step {step.name} is {step.state}")
    for end in _STEP_ENDS.values():
        wanted = 1 if end == expected_end else 0
        history.expect(
            names[end] == wanted, f"step {step.name} ({step.state}): {names[end]} {end} events, not {wanted}"
        )
    check_attempts(history, step, events)


def check_attempts(history: History, step: Any, events: Sequence[Any]) -> None:
    """Attempts are numbered from 1 without gaps, each began at most once, and each that began ended once."""
    sent = [event.attempt for event in events if event.name == "step.dispatched"]
    released = sum(event.name == "step.released" for event in events)
    dispatched = set(sent)
    started = Counter(event.attempt for event in events if event.name == "step.started")
    ended = Counter(event.attempt for event in events if event.name in _ATTEMPT_ENDS)
    where = f"step {step.name}"
    history.expect(dispatched == set(range(1, len(dispatched) + 1)), f"{where}: attempts {sorted(dispatched)}")
    history.expect(len(sent) <= len(dispatched) + released, f"{where}: dispatched {sent}, released {released} times")
    history.expect(started.keys() <= dispatched, f"{where}: started {sorted(started)}, dispatched {sorted(dispatched)}")
    for attempt, times in started.items():
        history.expect(times == 1, f"{where}: attempt {attempt} started {times} times")
        cancelled = step.state == "cancelled" and attempt == max(started)
        ends = ended[attempt] + (1 if cancelled and not ended[attempt] else 0)
        history.expect(ends == 1, f"{where}: attempt {attempt} ended {ends} times")
    history.expect(ended.keys() <= started.keys(), f"{where}: ended {sorted(ended)}, started {sorted(started)}")


def check_order(history: History) -> None:
    """No step was dispatched before every parent had completed; nothing happened to an attempt before it began."""
    first: dict[tuple[str, str | None], int] = {}
    for event in history.events:
        first.setdefault((event.name, event.step), event.id)
    for step in history.plan:
        began = first.get(("step.dispatched", step.name))
        for parent in history.plan.names(step.parents):
            completed = first.get(("step.completed", parent))
            in_order = began is None or (completed is not None and completed < began)
            history.expect(in_order, f"step {step.name} was dispatched before {parent} had completed")
        started, ended = first.get(("step.started", step.name)), first.get(("step.completed", step.name))
        history.expect(
            ended is None or (started is not None and started < ended), f"step {step.name} ended, then began"
        )


def check_calls(stage: Stage, histories: Sequence[History]) -> list[str]:
    """Every call of a handler belongs to an attempt that was claimed, and no attempt was called twice."""
    calls = Counter((call.run_id, call.step, call.attempt) for call in stage.traced())
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

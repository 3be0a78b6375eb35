"""The checker of the fault suite is worth something: forge any part of a history, and it says what is wrong."""

from dataclasses import dataclass, field
from datetime import timedelta

import pytest

from tests.support.audits import intrusion
from tests.support.checker import check_calls, find_problems, read
from tests.support.histories import DatabaseRows
from tests.support.processes import Traced
from tests.support.recording import RecordingDispatcher, claim, fail, graph, key, submit
from workflow_engine.engine.processor import Processor
from workflow_engine.ids import RunId
from workflow_engine.model.commands import CompleteStep, ProcessReadiness
from workflow_engine.store.transaction import Store

SECOND_COMPLETION = """
    INSERT INTO events (run_id, plan_id, namespace, correlation_id, name, step, attempt, data)
    SELECT run_id, plan_id, namespace, correlation_id, name, step, attempt, data
      FROM events WHERE name = 'step.completed' AND step = 'b'
"""
FORGERIES = {
    "a run that has not ended": ("UPDATE runs SET state = 'running', finished_at = NULL", "has not ended"),
    "a run that ended otherwise": ("UPDATE runs SET state = 'failed'", "its events lead to succeeded"),
    "a run without a beginning": ("DELETE FROM events WHERE name = 'run.submitted'", "began with run.started"),
    "a run without a fact": ("DELETE FROM events WHERE name = 'run.started'", "run.succeeded came when it was pending"),
    "a run that ends twice": (
        "INSERT INTO events (run_id, namespace, name, data) SELECT id, 'default', 'run.failed', '{}' FROM runs",
        "run.failed came when it was succeeded",
    ),
    "a run without a step": ("DELETE FROM steps WHERE position = 0", "1 steps of 2"),
    "a run that ended too soon": ("UPDATE steps SET state = 'cancelled' WHERE position = 1", "succeeded without ['b']"),
    "a run before its time": ("UPDATE runs SET scheduled_at = now() + interval '1 day'", "before its time"),
    "a step after the end": (
        "INSERT INTO events (run_id, namespace, name, step, attempt, data) "
        "SELECT id, 'default', 'step.dispatched', 'b', 3, '{}' FROM runs",
        "['step.dispatched of b'] came after its end",
    ),
    "a step that has not ended": (
        "UPDATE steps SET state = 'dispatched', finished_at = NULL WHERE position = 1",
        "step b is dispatched",
    ),
    "a step that ended otherwise": ("UPDATE steps SET state = 'failed' WHERE position = 1", "events lead to succeeded"),
    "a second completion": (SECOND_COMPLETION, "2 completions, not 1"),
    "a completion after the end": (SECOND_COMPLETION, "step.completed came when it was succeeded"),
    "a completion after a failure": (
        "UPDATE events SET name = 'step.failed' WHERE name = 'step.retrying'",
        "step.dispatched came when it was failed",
    ),
    "no completion": ("DELETE FROM events WHERE name = 'step.completed' AND step = 'b'", "0 completions, not 1"),
    "a claim out of nothing": (
        "DELETE FROM events WHERE name = 'step.dispatched' AND step = 'a'",
        "step.started came when it was waiting",
    ),
    "a gap between attempts": (
        "UPDATE events SET attempt = 3 WHERE attempt = 2",
        "step.dispatched of attempt 3 during 2",
    ),
    "an attempt nobody told of": ("UPDATE steps SET attempt = 3 WHERE position = 1", "has attempt 3, its events 2"),
    "an attempt without an end": ("DELETE FROM events WHERE name = 'step.retrying'", "step b: attempt 1 ended 0 times"),
    "an attempt that ends twice": (SECOND_COMPLETION, "step b: attempt 2 ended 2 times"),
    "an attempt that never began": (
        "DELETE FROM events WHERE name = 'step.started' AND attempt = 2",
        "step b: attempt 2 began 0 times",
    ),
    "an attempt that somebody else ended": (
        'UPDATE events SET data = data || \'{"started_at": "2026-01-31T12:00:00Z"}\' '
        "WHERE name = 'step.completed' AND step = 'b'",
        "step b: step.completed tells of a claim at 2026-01-31 12:00:00+00:00",
    ),
    "a child before its parent": (
        "UPDATE events SET id = id + 1000 WHERE name = 'step.completed' AND step = 'a'",
        "step b was dispatched before a had completed",
    ),
    "an effect before its cause": (
        "UPDATE events SET occurred_at = occurred_at - interval '1 minute' WHERE name = 'step.started' AND step = 'a'",
        "step a (succeeded): ['step.started'] happened before what led there",
    ),
    "a fact told twice": (
        "INSERT INTO events (run_id, namespace, name, occurred_at, data) "
        "SELECT run_id, 'default', name, occurred_at, data FROM events WHERE name = 'run.started'",
        "run.started of step None, attempt None, is told 2 times",
    ),
    "a step of no run": (
        "INSERT INTO steps (run_id, position, state, missing) VALUES (gen_random_uuid(), 7, 'waiting', 1)",
        "step 7 of run",
    ),
    "an event of no run": (
        "INSERT INTO events (run_id, namespace, name, data) VALUES (gen_random_uuid(), 'default', 'run.started', '{}')",
        "run.started, of run",
    ),
    "a timer of a run that is over": (
        "INSERT INTO timers (kind, due_at, run_id) SELECT 'run_expiry', clock_timestamp(), id FROM runs",
        "a timer (run_expiry) of run",
    ),
    "a dead letter of a step that succeeded": (
        "INSERT INTO step_dead_letters (run_id, position, attempt, attempts, namespace, workflow, version, step, "
        "error_class, message, failed_at) "
        "SELECT id, 1, 2, 2, 'default', workflow, version, 'b', 'Boom', 'no', clock_timestamp() FROM runs",
        "step b has dead letters {2: 'dead'}, not {}",
    ),
    "an event kept back": (
        "INSERT INTO deferred_events (run_id, plan_id, namespace, correlation_id, name, occurred_at, data) "
        "SELECT id, plan_id, 'default', 'c', 'run.submitted', clock_timestamp(), '{}' FROM runs",
        "never came to the log",
    ),
}
"""By name: what an intruder does to a history that is whole, and what the checker must say of it."""


def complete(processor: Processor, dispatcher: RecordingDispatcher, step: str) -> None:
    """Claim and complete a step, as a worker does: the completion says again what the claim told."""
    message = dispatcher.take(step)
    claimed = claim(processor, message)
    assert claimed is not None
    processor.execute(CompleteStep(**key(message), result="null", seconds=0.1, claim=claimed.claim))


@pytest.fixture
def run_id(processor: Processor, dispatcher: RecordingDispatcher, store: Store) -> RunId:
    """A run of two steps that succeeded; the second one at its second attempt."""
    found = submit(processor, graph({"a": (), "b": ("a",)}))
    complete(processor, dispatcher, "a")
    message = dispatcher.take("b")
    assert claim(processor, message) is not None
    fail(processor, message, retry_in=timedelta(0))
    processor.execute(ProcessReadiness(limit=10))
    complete(processor, dispatcher, "b")
    return found


@dataclass(frozen=True)
class Calls:
    """Calls of handlers that somebody remembers."""

    calls: list[Traced] = field(default_factory=list)

    def traced(self) -> list[Traced]:
        return self.calls


def test_a_whole_history_has_no_problems(store: Store, run_id: RunId) -> None:
    source = DatabaseRows(store.database)

    assert find_problems(source) == []
    assert len(read(source)) == 1


@pytest.mark.parametrize("forgery", FORGERIES)
def test_a_forged_history_is_found_out(store: Store, run_id: RunId, forgery: str) -> None:
    statement, complaint = FORGERIES[forgery]
    with intrusion(store) as connection:
        connection.execute(statement.encode())

    problems = find_problems(DatabaseRows(store.database))

    with intrusion(store) as connection:
        connection.execute("DELETE FROM deferred_events")
    assert any(complaint in problem for problem in problems), problems


def test_an_attempt_that_was_called_twice_is_found_out(store: Store, run_id: RunId) -> None:
    call = Traced(run_id=str(run_id), step="b", attempt=2, pid=1)

    problems = check_calls(Calls([call, call]), read(DatabaseRows(store.database)))

    assert problems == [f"('{run_id}', 'b', 2) was called 2 times"]


def test_a_call_without_a_claim_is_found_out(store: Store, run_id: RunId) -> None:
    calls = Calls([Traced(run_id=str(run_id), step="b", attempt=each, pid=1) for each in (2, 3)])

    problems = check_calls(calls, read(DatabaseRows(store.database)))

    assert problems == [f"('{run_id}', 'b', 3) was called without a claim"]


def test_what_a_crash_may_have_lost_is_not_asked_of_the_runs_it_struck(store: Store, run_id: RunId) -> None:
    statement, complaint = FORGERIES["an attempt that somebody else ended"]
    with intrusion(store) as connection:
        connection.execute(statement.encode())
    source = DatabaseRows(store.database)

    assert find_problems(source, claims_may_be_lost={str(run_id)}) == []
    assert [complaint in each for each in find_problems(source, claims_may_be_lost={"another"})] == [True]

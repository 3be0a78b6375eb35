"""Following one run: every event once, also one that is committed after another with a later place in the log."""

from typing import Any

import pytest

from tests.support.recording import RecordingDispatcher, claim, complete, graph
from workflow_engine import RunNotFound, RunTimeout
from workflow_engine.client.client import WorkflowClient
from workflow_engine.client.handle import RunHandle
from workflow_engine.clock import SystemClock
from workflow_engine.definitions.registry import Registry
from workflow_engine.engine.processor import Processor
from workflow_engine.store.transaction import Store


@pytest.fixture
def run(store: Store, processor: Processor) -> RunHandle:
    """A run of two steps, whose messages are kept, not sent."""
    client = WorkflowClient(store, processor, Registry(), SystemClock(), namespace="default", input_limit=10_000)
    return client.submit(graph({"a": (), "b": ()}))


def add(tx: Any, run: RunHandle, name: str, step: str) -> None:
    """Append an event to the log."""
    query = "INSERT INTO events (run_id, namespace, name, step, data) VALUES (%s, 'default', %s, %s, '{}')"
    tx.connection.execute(query, [run.id, name, step])


def named(events: list[Any]) -> list[tuple[str, str | None]]:
    """Return events by name and step."""
    return [(event.name, event.step) for event in events]


def test_an_event_that_is_committed_late_is_told_late_and_nothing_twice(store: Store, run: RunHandle) -> None:
    tail = run.tail()
    before = tail.look()
    with store.transaction() as late:
        add(late, run, "step.retrying", "a")
        with store.single() as tx:
            add(tx, run, "step.started", "b")
        meanwhile = [named(tail.look()), named(tail.look())]
    after = [named(tail.look()), named(tail.look())]

    assert len(before) == 3
    assert meanwhile == [[("step.started", "b")], []]
    assert after == [[("step.retrying", "a")], []]


def test_what_is_settled_is_not_read_again(store: Store, run: RunHandle) -> None:
    tail = run.tail()

    for _ in range(2):
        tail.look()

    assert tail._settled == run.events()[-1].position
    assert not tail._told


def test_following_ends_with_the_run(run: RunHandle, processor: Processor, dispatcher: RecordingDispatcher) -> None:
    events = run.follow(timeout=10)
    begun = [next(events).name for _ in range(3)]
    for step in ("a", "b"):
        message = dispatcher.take(step)
        claim(processor, message)
        complete(processor, message, "1")

    rest = list(events)

    assert begun == ["run.submitted", "step.dispatched", "step.dispatched"]
    assert rest == run.events()[3:]
    assert rest[-1].name == "run.succeeded"


def test_following_a_run_that_does_not_end_runs_out_of_time(run: RunHandle) -> None:
    with pytest.raises(RunTimeout):
        list(run.follow(timeout=0))


def test_following_a_run_that_is_not_there_says_so(run: RunHandle, store: Store) -> None:
    tail = run.tail()
    with store.single() as tx:
        tx.connection.execute("DELETE FROM runs WHERE id = %s", [run.id])

    with pytest.raises(RunNotFound):
        tail.look()
    with pytest.raises(RunNotFound):
        run.tail()

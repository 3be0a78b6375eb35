"""Runs that take too long fail: what has not started is cancelled, what runs is told, and who was first has won."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest

from tests.support.recording import (
    RecordingDispatcher,
    claim,
    complete,
    event_names,
    fail,
    graph,
    key,
    run_all,
    run_state,
    states,
    submit,
)
from workflow_engine.engine.dispatcher import Dispatch
from workflow_engine.engine.processor import Processor
from workflow_engine.ids import RunId
from workflow_engine.model.commands import CancelRun, FireTimers, ProcessReadiness, RetrySteps, StepAttempt, StopStep
from workflow_engine.model.records import EventRecord, RunRecord
from workflow_engine.store.transaction import Store

HOUR = timedelta(hours=1)
CHAIN = {"a": (), "b": ("a",)}
PAIR = {"a": (), "b": ()}


def record_of(store: Store, run_id: RunId) -> RunRecord:
    with store.single() as tx:
        record = tx.views.find_run(run_id)
    assert record is not None
    return record


def end_of(store: Store, run_id: RunId) -> EventRecord:
    with store.single() as tx:
        return tx.views.events_of(run_id)[-1]


def due_in(store: Store) -> list[float]:
    """Return how many seconds after their runs' submits the timeouts are due."""
    with store.single() as tx:
        rows = tx.connection.execute(
            "SELECT extract(epoch FROM timers.due_at - runs.created_at)::float8 AS seconds "
            "FROM timers JOIN runs ON runs.id = timers.run_id WHERE kind = 'run_timeout'"
        )
        return [row.seconds for row in rows]


def let_the_time_run_out(store: Store, run_id: RunId) -> None:
    with store.single() as tx:
        for table in ("runs SET created_at = created_at", "timers SET due_at = due_at"):
            name = "id" if table.startswith("runs") else "run_id"
            tx.connection.execute(f"UPDATE {table} - interval '1 hour' WHERE {name} = %s".encode(), [run_id])


def time_out(store: Store, processor: Processor, run_id: RunId) -> None:
    let_the_time_run_out(store, run_id)
    processor.execute(FireTimers(limit=10))


def test_a_timeout_counts_from_the_submit_and_is_the_workflows_unless_the_run_has_its_own(
    store: Store, processor: Processor
) -> None:
    workflow = graph(CHAIN, timeout=60)
    own, other = submit(processor, workflow), submit(processor, workflow, timeout=90)
    submit(processor, graph(CHAIN))

    assert due_in(store) == [60, 90]
    assert [record_of(store, each).timeout for each in (own, other)] == [timedelta(seconds=60), timedelta(seconds=90)]


def test_a_timeout_counts_from_a_scheduled_start_unless_that_is_over(store: Store, processor: Processor) -> None:
    now = datetime.now(UTC)
    submit(processor, graph(CHAIN), timeout=60, scheduled_at=now + HOUR)
    submit(processor, graph(CHAIN), timeout=60, scheduled_at=now - HOUR)

    assert sorted(due_in(store)) == pytest.approx([60, 3_660], abs=30)


def test_a_run_that_nobody_began_fails_at_once(store: Store, processor: Processor) -> None:
    run_id = submit(processor, graph(CHAIN), timeout=HOUR)
    processor.execute(FireTimers(limit=10))
    assert run_state(store, run_id) == "pending"

    time_out(store, processor, run_id)

    assert states(store, run_id) == {"a": "cancelled", "b": "cancelled"}
    assert dict(record_of(store, run_id).error or {}) == {
        "step": None,
        "error_class": "RunTimedOut",
        "message": "the run did not end within its timeout of 3600 s",
    }
    failed = end_of(store, run_id)
    assert (failed.name, failed.version, failed.data["step"]) == ("run.failed", 2, None)
    assert failed.payload.event == "run.failed"


@pytest.fixture
def half_done(store: Store, processor: Processor, dispatcher: RecordingDispatcher) -> tuple[RunId, Dispatch]:
    """A chain whose time ran out while its first step was running."""
    run_id = submit(processor, graph(CHAIN), timeout=HOUR)
    message = dispatcher.take("a")
    claim(processor, message)
    assert processor.is_current(StepAttempt(**key(message)))
    time_out(store, processor, run_id)
    return run_id, message


def test_what_runs_is_told_and_the_run_fails_when_it_has_stopped(
    half_done: tuple[RunId, Dispatch], store: Store, processor: Processor
) -> None:
    run_id, message = half_done
    assert (run_state(store, run_id), states(store, run_id)) == ("running", {"a": "running", "b": "cancelled"})
    assert not processor.is_current(StepAttempt(**key(message)))

    processor.execute(StopStep(**key(message)))

    assert (run_state(store, run_id), states(store, run_id)["a"]) == ("failed", "cancelled")
    assert end_of(store, run_id).data["error_class"] == "RunTimedOut"
    with store.single() as tx:
        said = [event.data["because"] for event in tx.views.events_of(run_id) if event.name == "step.cancelled"]
    assert said == ["the run timed out"] * 2


@pytest.mark.parametrize("end", ["complete", "fail", "retry"])
def test_what_does_not_ask_may_end_and_nothing_follows(
    end: str, half_done: tuple[RunId, Dispatch], store: Store, processor: Processor, dispatcher: RecordingDispatcher
) -> None:
    run_id, message = half_done

    if end == "complete":
        complete(processor, message)
    else:
        fail(processor, message, retry_in=timedelta(0) if end == "retry" else None)
    processor.execute(ProcessReadiness(limit=10))

    assert run_state(store, run_id) == "failed"
    assert states(store, run_id) == {"a": "succeeded" if end == "complete" else "failed", "b": "cancelled"}
    assert (record_of(store, run_id).error or {})["error_class"] == "RunTimedOut"
    assert run_all(processor, dispatcher) == []


def test_the_first_failure_is_the_one_that_is_told(
    store: Store, processor: Processor, dispatcher: RecordingDispatcher
) -> None:
    run_id = submit(processor, graph(PAIR), timeout=HOUR)
    bad, last = dispatcher.take("a"), dispatcher.take("b")
    claim(processor, bad)
    claim(processor, last)
    fail(processor, bad)

    time_out(store, processor, run_id)
    assert not processor.is_current(StepAttempt(**key(last)))
    processor.execute(StopStep(**key(last)))

    assert end_of(store, run_id).data["step"] == "a"
    processor.execute(RetrySteps(run_id=run_id))
    assert due_in(store) == pytest.approx([7_200], abs=60)  # an hour from now; the submit is an hour ago
    processor.execute(ProcessReadiness(limit=10))
    assert sorted(run_all(processor, dispatcher)) == ["a", "b"]
    assert run_state(store, run_id) == "succeeded"


def test_a_run_that_is_cancelled_first_ends_cancelled(
    store: Store, processor: Processor, dispatcher: RecordingDispatcher
) -> None:
    run_id = submit(processor, graph(CHAIN), timeout=HOUR)
    message = dispatcher.take("a")
    claim(processor, message)
    processor.execute(CancelRun(run_id=run_id))

    time_out(store, processor, run_id)
    processor.execute(StopStep(**key(message)))

    assert (run_state(store, run_id), record_of(store, run_id).error) == ("cancelled", None)


def test_a_run_that_succeeds_takes_its_timeout_along(
    store: Store, processor: Processor, dispatcher: RecordingDispatcher
) -> None:
    submit(processor, graph(CHAIN), timeout=HOUR)

    run_all(processor, dispatcher)

    assert due_in(store) == []


@pytest.mark.parametrize("number", range(5))
def test_success_and_timeout_at_the_same_moment_agree_on_one_end(
    number: int, store: Store, processor: Processor, dispatcher: RecordingDispatcher
) -> None:
    runs = [submit(processor, graph({"a": ()}), timeout=HOUR) for _ in range(6)]
    messages = [dispatcher.take("a") for _ in runs]
    for run_id, message in zip(runs, messages, strict=True):
        claim(processor, message)
        let_the_time_run_out(store, run_id)
    acts: list[Callable[[], object]] = [lambda each=each: complete(processor, each) for each in messages]  # type: ignore[misc]
    acts.insert(number, lambda: processor.execute(FireTimers(limit=10)))

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(lambda act: act(), acts))

    for run_id in runs:
        ends = event_names(store, run_id)
        assert ends["run.succeeded", None] + ends["run.failed", None] == 1
        assert run_state(store, run_id) == ("succeeded" if ends["run.succeeded", None] else "failed")
    assert due_in(store) == []


def test_a_late_timer_of_a_run_that_succeeded_changes_nothing(
    store: Store, processor: Processor, dispatcher: RecordingDispatcher
) -> None:
    run_id = submit(processor, graph({"a": ()}), timeout=0.001)
    message = dispatcher.take("a")
    claim(processor, message)

    with store.transaction() as tx:
        assert len(tx.timers.take_due(["run_timeout"], 10)) == 1  # somebody is about to fire it
        complete(processor, message)  # nobody waits
        assert tx.deadlines.find_timed_out([run_id]) == []

    assert run_state(store, run_id) == "succeeded"

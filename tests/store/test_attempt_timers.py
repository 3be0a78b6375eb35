"""An attempt that shows no sign of life, or takes too long, fails by a timer; one that ends takes its timers away."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import psycopg
import pytest

from tests.support.recording import (
    RecordingDispatcher,
    claim,
    complete,
    event_names,
    fail,
    graph,
    key,
    run_state,
    states,
    submit,
)
from workflow_engine import Retry, Workflow
from workflow_engine.engine.attempt_watch import AttemptWatch
from workflow_engine.engine.dispatcher import Dispatch
from workflow_engine.engine.processor import Processor
from workflow_engine.ids import RunId
from workflow_engine.model.commands import CancelRun, FireTimers, ProcessReadiness, StepAttempt
from workflow_engine.model.timers import TimerKind
from workflow_engine.store.transaction import Store

BOTH = {TimerKind.HEARTBEAT: 60.0, TimerKind.STEP_TIMEOUT: 600.0}


def long_step(max_attempts: int = 2, seconds: float = 0.01, **options: Any) -> Workflow:
    """Return a workflow whose step must show a sign of life all the time, and wait for nothing between attempts."""
    workflow = Workflow("long", version=f"{max_attempts}-{seconds:g}-{len(options)}")
    retry = Retry(max_attempts=max_attempts, base_delay=0)
    workflow.step(name="a", heartbeat_timeout=seconds, retry=retry, **options)(lambda ctx: None)
    return workflow


def claimed(processor: Processor, dispatcher: RecordingDispatcher, workflow: Workflow) -> tuple[RunId, Dispatch]:
    """Return a run of a workflow whose step runs."""
    run_id = submit(processor, workflow)
    message = dispatcher.take("a")
    claim(processor, message)
    return run_id, message


def watch(store: Store, processor: Processor, message: Dispatch, *, timeout: bool = False) -> AttemptWatch:
    step = processor.plan(message.plan_id)[message.position]
    return AttemptWatch(store, processor, StepAttempt(**key(message)), step, timeout=timeout)


def kinds(store: Store) -> list[str]:
    with store.single() as tx:
        return [row.kind for row in tx.connection.execute("SELECT kind FROM timers ORDER BY kind")]


def seconds_left(store: Store) -> float:
    with store.single() as tx:
        row = tx.connection.execute(
            "SELECT extract(epoch FROM min(due_at) - clock_timestamp())::float AS seconds FROM timers"
        ).fetchone()
    assert row is not None
    return float(row.seconds)


def fire(processor: Processor, store: Store) -> None:
    """Let every timer come due, and fire it."""
    with store.single() as tx:
        tx.connection.execute("UPDATE timers SET due_at = clock_timestamp()")
    processor.execute(FireTimers(limit=100))


@pytest.fixture
def asked(store: Store, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """The names of our statements on this test's database from now on."""
    names: list[str] = []
    original, database = psycopg.Cursor.execute, psycopg.conninfo.conninfo_to_dict(store.database.url)["dbname"]

    def execute(self: Any, query: Any, *args: Any, **options: Any) -> Any:
        text = query.decode() if isinstance(query, bytes) else str(query)
        if self.connection.info.dbname == database and text.startswith("/* "):
            names.append(text[3:].partition(" */")[0])
        return original(self, query, *args, **options)

    with monkeypatch.context() as patch:
        patch.setattr(psycopg.Cursor, "execute", execute)
        yield names


def test_a_silent_attempt_fails_and_is_tried_again_as_its_policy_says(
    store: Store, processor: Processor, dispatcher: RecordingDispatcher
) -> None:
    run_id, message = claimed(processor, dispatcher, long_step())
    watch(store, processor, message).begin()
    assert kinds(store) == ["heartbeat"]

    fire(processor, store)

    with store.single() as tx:
        (step,) = tx.views.steps_of(run_id)
    assert step.state == "retrying"
    assert step.error is not None
    assert step.error["error_class"] == "HeartbeatTimeout"
    assert step.error["message"] == "step 'a' showed no sign of life for its heartbeat_timeout of 0.01 s"
    complete(processor, message)  # too late
    fail(processor, message)
    assert states(store, run_id) == {"a": "retrying"}
    processor.execute(ProcessReadiness(limit=10))
    again = dispatcher.take("a")
    assert again.attempt == 2
    claim(processor, again)
    watch(store, processor, again).begin()
    fire(processor, store)
    assert run_state(store, run_id) == "failed"
    assert event_names(store, run_id)["step.retrying", "a"] == event_names(store, run_id)["step.failed", "a"] == 1


def test_a_late_attempt_fails_where_celery_does_not_stop_it(
    store: Store, processor: Processor, dispatcher: RecordingDispatcher
) -> None:
    workflow = graph({})
    workflow.step(name="a", timeout=5)(lambda ctx: None)
    run_id, message = claimed(processor, dispatcher, workflow)
    watch(store, processor, message, timeout=True).begin()
    assert kinds(store) == ["step_timeout"]

    fire(processor, store)

    with store.single() as tx:
        (step,) = tx.views.steps_of(run_id)
    assert (step.state, step.error and step.error["error_class"]) == ("failed", "StepTimeout")


def test_a_timer_of_an_attempt_that_has_ended_changes_nothing(
    store: Store, processor: Processor, dispatcher: RecordingDispatcher, asked: list[str]
) -> None:
    run_id, message = claimed(processor, dispatcher, long_step())
    watch(store, processor, message).begin()
    complete(processor, message)
    asked.clear()

    fire(processor, store)

    assert (run_state(store, run_id), kinds(store)) == ("succeeded", [])
    assert "lock_unfinished" not in asked  # a run may have ten thousand steps


def test_a_silent_attempt_of_a_cancelled_run_ends_it(
    store: Store, processor: Processor, dispatcher: RecordingDispatcher
) -> None:
    run_id, message = claimed(processor, dispatcher, long_step())
    watch(store, processor, message).begin()
    processor.execute(CancelRun(run_id=run_id))

    fire(processor, store)

    assert run_state(store, run_id) == "cancelled"


def test_a_sign_of_life_moves_the_timer_at_most_three_times_in_the_time_there_is(
    store: Store,
    processor: Processor,
    dispatcher: RecordingDispatcher,
    asked: list[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = 1_000.0
    monkeypatch.setattr("workflow_engine.engine.attempt_watch.monotonic", lambda: now)
    _, message = claimed(processor, dispatcher, long_step(seconds=90))
    watched = watch(store, processor, message)
    watched.begin()
    asked.clear()
    with store.single() as tx:
        tx.connection.execute("UPDATE timers SET due_at = due_at - interval '40 s'")

    for second in range(60):
        now = 1_000.0 + second
        assert watched.is_current()

    assert asked.count("move_attempt_timer") == 1
    assert asked.count("is_current") == 60  # a cancelled run is noticed at once
    assert 85 < seconds_left(store) <= 90


def test_a_step_without_the_option_has_no_timers_and_costs_nothing(
    store: Store, processor: Processor, dispatcher: RecordingDispatcher, asked: list[str]
) -> None:
    workflow = graph({})
    workflow.step(name="a", timeout=5)(lambda ctx: None)
    _, message = claimed(processor, dispatcher, workflow)
    watched = watch(store, processor, message)
    asked.clear()

    watched.begin()
    assert watched.is_current()
    watched.end()

    assert asked == ["is_current"]
    assert kinds(store) == []


def test_an_attempt_that_ends_takes_its_own_timers_along(
    store: Store, processor: Processor, dispatcher: RecordingDispatcher
) -> None:
    submit(processor, graph({"a": (), "b": ()}))
    first, second = (StepAttempt(**key(dispatcher.take(step))) for step in "ab")
    with store.single() as tx:
        tx.timers.set_attempt(first, BOTH)
        tx.timers.set_attempt(second, BOTH)
        assert not tx.timers.move_attempt(StepAttempt(**{**_values(first), "attempt": 2}), TimerKind.HEARTBEAT, 1.0)
        tx.timers.drop_attempt(first, [*BOTH])
        rows = tx.connection.execute("SELECT position, kind FROM timers ORDER BY kind").fetchall()

    assert [(row.position, row.kind) for row in rows] == [(1, "heartbeat"), (1, "step_timeout")]


def _values(attempt: StepAttempt) -> dict[str, Any]:
    return {name: getattr(attempt, name) for name in ("plan_id", "run_id", "position", "attempt")}


def test_an_attempt_that_was_given_away_may_not_go_on_and_gets_no_timer(
    store: Store, processor: Processor, dispatcher: RecordingDispatcher
) -> None:
    _, message = claimed(processor, dispatcher, long_step())
    watched = watch(store, processor, message)
    watched.begin()
    fire(processor, store)

    assert not watched.is_current()
    assert kinds(store) == []


def test_a_timer_that_a_crash_of_the_database_forgot_is_set_again(
    store: Store, processor: Processor, dispatcher: RecordingDispatcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 1_000.0
    monkeypatch.setattr("workflow_engine.engine.attempt_watch.monotonic", lambda: now)
    _, message = claimed(processor, dispatcher, long_step())
    watched = watch(store, processor, message)  # what begin() did is lost
    now += 1

    assert watched.is_current()

    assert kinds(store) == ["heartbeat"]


def test_who_could_not_be_heard_while_postgresql_was_down_gets_the_time_anew(
    store: Store, processor: Processor, dispatcher: RecordingDispatcher
) -> None:
    with store.single() as tx:
        up = tx.timers.server_age()
    seconds = (up + timedelta(minutes=2)).total_seconds()
    run_id, message = claimed(processor, dispatcher, long_step(seconds=min(seconds, 7 * 86_400)))
    watch(store, processor, message).begin()

    fire(processor, store)

    assert (states(store, run_id), kinds(store)) == ({"a": "running"}, ["heartbeat"])
    assert 60 < seconds_left(store) <= 120

"""Durable timers on real rows: set by whoever makes a moment, fired once, gone with their run."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.support.recording import RecordingDispatcher, claim, fail, graph, submit
from workflow_engine.engine.handlers import timer as timer_handlers
from workflow_engine.engine.processor import Processor
from workflow_engine.engine.timekeeper import BATCH, TimekeeperService
from workflow_engine.model.commands import CancelRun, FireTimers
from workflow_engine.model.timers import TimerKind
from workflow_engine.store.transaction import Store

HOUR = timedelta(hours=1)


def in_an_hour() -> datetime:
    return datetime.now(UTC) + HOUR


def timers(store: Store) -> list[Any]:
    with store.single() as tx:
        return tx.connection.execute("SELECT * FROM timers ORDER BY due_at").fetchall()


def let_an_hour_pass(store: Store) -> None:
    """Move every moment of the future an hour nearer."""
    with store.single() as tx:
        tx.connection.execute("UPDATE steps SET ready_at = ready_at - interval '1 hour' WHERE ready_at IS NOT NULL")
        tx.connection.execute("UPDATE runs SET expires_at = expires_at - interval '1 hour'")
        tx.connection.execute("DELETE FROM timers WHERE due_at <= clock_timestamp()")
        tx.connection.execute("UPDATE timers SET due_at = due_at - interval '1 hour'")


def test_the_delay_before_an_attempt_is_a_timer_and_fires_once(
    store: Store, processor: Processor, dispatcher: RecordingDispatcher
) -> None:
    submit(processor, graph({"a": ()}))
    message = dispatcher.take("a")
    claim(processor, message)
    fail(processor, message, retry_in=HOUR)
    assert [timer.kind for timer in timers(store)] == ["step_ready"]
    assert processor.execute(FireTimers(limit=10)) == []

    let_an_hour_pass(store)
    with ThreadPoolExecutor(4) as threads:
        fired = list(threads.map(lambda _: processor.execute(FireTimers(limit=10)), range(8)))

    assert sum(map(len, fired)) == 1
    assert [(sent.step, sent.attempt) for sent in dispatcher.sent] == [("a", 2)]
    assert timers(store) == []


def test_the_start_of_a_run_is_one_timer_however_many_steps_begin(
    store: Store, processor: Processor, dispatcher: RecordingDispatcher
) -> None:
    submit(processor, graph({f"s{number}": () for number in range(600)}), scheduled_at=in_an_hour())
    assert len(timers(store)) == 1

    let_an_hour_pass(store)
    TimekeeperService(store, processor).run_once()

    assert len(dispatcher.sent) == 600


def test_a_run_that_ends_takes_its_timers_along(
    store: Store, processor: Processor, dispatcher: RecordingDispatcher
) -> None:
    run_id = submit(processor, graph({"a": ()}), scheduled_at=in_an_hour(), expires_at=in_an_hour() + HOUR)
    assert {timer.kind for timer in timers(store)} == {"step_ready", "run_expiry"}

    processor.execute(CancelRun(run_id=run_id))

    assert timers(store) == []


def test_the_timekeeper_sleeps_until_the_next_timer_whatever_its_own_interval(
    store: Store, processor: Processor
) -> None:
    keeper = TimekeeperService(store, processor)
    assert keeper.run_once() is None
    submit(processor, graph({"a": ()}), scheduled_at=datetime.now(UTC) + timedelta(minutes=30))

    pause = keeper.run_once()

    assert pause is not None
    assert timedelta(minutes=29) < pause <= timedelta(minutes=30)


def test_a_notice_wakes_the_timekeeper_only_for_an_earlier_timer(store: Store, processor: Processor) -> None:
    keeper = TimekeeperService(store, processor)
    submit(processor, graph({"a": ()}), scheduled_at=datetime.now(UTC) + timedelta(minutes=30))
    keeper.run_once()
    (timer,) = timers(store)
    keeper._wake.clear()

    keeper.hear(timer.due_at.timestamp() + 1)
    assert not keeper._wake.is_set()
    keeper.hear(timer.due_at.timestamp() - 1)
    assert keeper._wake.is_set()


def test_timers_come_in_batches_and_all_of_them(
    store: Store, processor: Processor, dispatcher: RecordingDispatcher, count_statements: Callable[[], int]
) -> None:
    number = BATCH + 1
    workflow = graph({"a": ()})
    for _ in range(number):
        submit(processor, workflow, scheduled_at=in_an_hour())
    let_an_hour_pass(store)
    count_statements()

    TimekeeperService(store, processor).run_once()

    assert len(dispatcher.sent) == number
    assert count_statements() <= 2 * 5 + 1  # two batches: take, savepoint, dispatch, events, and begin/commit


def test_a_timer_that_cannot_be_fired_is_put_off_and_holds_up_no_other(
    store: Store, processor: Processor, dispatcher: RecordingDispatcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    bad = submit(processor, graph({"bad": ()}), scheduled_at=in_an_hour())
    submit(processor, graph({"good": ()}), scheduled_at=in_an_hour())
    let_an_hour_pass(store)
    fire = timer_handlers._FIRE[TimerKind.STEP_READY]

    def refuse(due: Any, scope: Any) -> Any:
        if any(timer.run_id == bad for timer in due):
            raise ValueError("a plan that cannot be read")
        return fire(due, scope)

    monkeypatch.setattr(timer_handlers, "_FIRE", {TimerKind.STEP_READY: refuse})
    processor.execute(FireTimers(limit=10))

    assert [message.step for message in dispatcher.sent] == ["good"]
    (left,) = timers(store)
    assert str(left.run_id) == bad
    assert left.due_at > datetime.now(UTC)


def test_a_run_that_ends_while_its_timer_fires_waits_for_nobody(store: Store, processor: Processor) -> None:
    run_id = submit(processor, graph({"a": ()}), scheduled_at=in_an_hour())
    with store.transaction() as firing:
        firing.connection.execute("SELECT FROM timers FOR UPDATE")
        processor.execute(CancelRun(run_id=run_id))
        assert len(timers(store)) == 1

    assert processor.execute(FireTimers(limit=10)) == []
    let_an_hour_pass(store)
    assert len(processor.execute(FireTimers(limit=10))) == 1
    assert timers(store) == []


def test_a_timer_of_a_newer_release_is_left_to_it(store: Store, processor: Processor) -> None:
    run_id = submit(processor, graph({"a": ()}))
    with store.single() as tx:
        tx.connection.execute("INSERT INTO timers (kind, due_at, run_id) VALUES ('newer', now(), %s)", [run_id])

    assert processor.execute(FireTimers(limit=10)) == []
    assert TimekeeperService(store, processor).run_once() is None
    assert len(timers(store)) == 1

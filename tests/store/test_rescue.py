"""What a silent worker held runs again: as soon as its lease is over, all of it at once, and at a bounded cost."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any
from uuid import uuid4

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
    lose,
    run_state,
    states,
    submit,
)
from workflow_engine.engine.processor import Processor
from workflow_engine.engine.rescuer import RescueService
from workflow_engine.model.commands import CancelRun, ProcessReadiness, StepAttempt
from workflow_engine.store.transaction import Store

HOUR = timedelta(hours=1)
LEASE = timedelta(milliseconds=10)
"""Shorter than any server of a test has been up: while PostgreSQL is down nobody falls silent."""


@pytest.fixture
def asked(store: Store, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Every statement of ours on this test's database from now on; the pool's own now and then do not count."""
    queries: list[str] = []
    original, name = psycopg.Cursor.execute, psycopg.conninfo.conninfo_to_dict(store.database.url)["dbname"]

    def execute(self: Any, query: Any, *args: Any, **options: Any) -> Any:
        text = query.decode() if isinstance(query, bytes) else str(query)
        if self.connection.info.dbname == name and text.startswith("/* "):
            queries.append(text)
        return original(self, query, *args, **options)

    with monkeypatch.context() as patch:
        patch.setattr(psycopg.Cursor, "execute", execute)
        yield queries


def beat(store: Store, *, ago: timedelta) -> str:
    """Return a worker that was last heard of that long ago."""
    worker = str(uuid4())
    with store.single() as tx:
        tx.workers.beat(worker, "w@host", 1)
        tx.connection.execute(
            "UPDATE workers SET heartbeat_at = clock_timestamp() - %s::interval WHERE id = %s", [ago, worker]
        )
    return worker


def test_what_silent_and_unknown_workers_hold_is_ready_again_and_a_living_ones_is_not(
    store: Store, processor: Processor, dispatcher: RecordingDispatcher
) -> None:
    run_id = submit(processor, graph({"a": (), "b": (), "c": ()}))
    holders = {"a": beat(store, ago=-HOUR), "b": beat(store, ago=HOUR), "c": str(uuid4())}
    for step, worker in holders.items():
        claim(processor, dispatcher.take(step), worker)

    RescueService(store, processor, lease=LEASE).run_once()

    assert states(store, run_id) == {"a": "running", "b": "ready", "c": "ready"}
    assert event_names(store, run_id)["step.lost", "b"] == event_names(store, run_id)["step.lost", "c"] == 1
    processor.execute(ProcessReadiness(limit=100))
    assert sorted((message.step, message.attempt) for message in dispatcher.sent) == [("b", 2), ("c", 2)]


def test_many_steps_of_a_dead_worker_cost_as_many_statements_as_one(
    store: Store, processor: Processor, dispatcher: RecordingDispatcher, asked: list[str]
) -> None:
    costs = []
    for number in (1, 400):
        run_id = submit(processor, graph({f"s{place}": () for place in range(number)}))
        while dispatcher.sent:
            claim(processor, dispatcher.sent.popleft())
        asked.clear()
        RescueService(store, processor, lease=HOUR).run_once()
        costs.append(len(asked))
        assert event_names(store, run_id).total() == 2 + 3 * number

    assert costs[0] == costs[1], asked


def test_a_step_lost_too_often_fails_and_one_of_a_cancelled_run_ends_with_it(
    store: Store, dispatcher: RecordingDispatcher
) -> None:
    processor = Processor(store, dispatcher, loss_limit=1)
    worn, cancelled = (submit(processor, graph({"a": ()})) for _ in range(2))
    for _ in range(2):
        message = dispatcher.sent.popleft()
        claim(processor, message)
        if message.run_id == worn:
            lose(processor, message)
    processor.execute(CancelRun(run_id=cancelled))
    processor.execute(ProcessReadiness(limit=100))
    claim(processor, dispatcher.take("a"))

    RescueService(store, processor, lease=HOUR).run_once()

    assert (run_state(store, worn), run_state(store, cancelled)) == ("failed", "cancelled")


def test_a_rescue_sleeps_until_the_first_lease_would_end(store: Store, processor: Processor) -> None:
    beat(store, ago=timedelta(minutes=-20))
    beat(store, ago=timedelta(minutes=-10))

    pause = RescueService(store, processor, lease=HOUR).run_once()

    assert pause is not None
    assert timedelta(minutes=69) < pause < timedelta(minutes=71)


def test_one_that_falls_silent_between_two_looks_is_found_when_its_lease_ends(
    store: Store, processor: Processor
) -> None:
    beat(store, ago=timedelta(0))

    pause = RescueService(store, processor, lease=timedelta(seconds=5)).run_once()

    assert pause is not None
    assert pause < timedelta(seconds=5.1)


def test_where_nobody_is_alive_a_rescue_sleeps_for_a_lease(store: Store, processor: Processor) -> None:
    beat(store, ago=HOUR)

    assert RescueService(store, processor, lease=LEASE).run_once() is None


def test_while_postgresql_was_down_nobody_fell_silent(
    store: Store, processor: Processor, dispatcher: RecordingDispatcher
) -> None:
    worker = beat(store, ago=timedelta(days=300))
    run_id = submit(processor, graph({"a": ()}))
    claim(processor, dispatcher.take("a"), worker)
    with store.single() as tx:
        row = tx.connection.execute("SELECT clock_timestamp() - pg_postmaster_start_time()").fetchone()
        tx.workers.beat(str(uuid4()), "other", 2)
    assert row is not None
    (up,) = row

    pause = RescueService(store, processor, lease=up + timedelta(minutes=1)).run_once()

    assert states(store, run_id) == {"a": "running"}
    assert pause is not None
    assert timedelta(seconds=30) < pause <= timedelta(minutes=1, seconds=1)
    RescueService(store, processor, lease=up / 2).run_once()
    assert states(store, run_id) == {"a": "ready"}


def test_a_dead_worker_is_forgotten_after_a_while(store: Store) -> None:
    alive, dead = beat(store, ago=-HOUR), beat(store, ago=HOUR)
    with store.single() as tx:
        tx.workers.forget_silent(timedelta(days=1))
        assert {worker.id for worker in tx.workers.page()} == {alive, dead}
        tx.workers.forget_silent(LEASE)
        assert [worker.id for worker in tx.workers.page()] == [alive]


def test_a_worker_is_told_which_of_its_attempts_are_no_longer_its_own(
    store: Store, processor: Processor, dispatcher: RecordingDispatcher
) -> None:
    names = ("held", "done", "failed", "tried_again", "anothers", "unclaimed")
    submit(processor, graph(dict.fromkeys(names, ()), on_failure="continue"))
    messages = {name: dispatcher.take(name) for name in names}
    mine, other = str(uuid4()), str(uuid4())
    for name, message in messages.items():
        if name != "unclaimed":
            claim(processor, message, other if name == "anothers" else mine)
    complete(processor, messages["done"])
    fail(processor, messages["failed"])
    lose(processor, messages["tried_again"])
    processor.execute(ProcessReadiness(limit=100))
    claim(processor, dispatcher.take("tried_again"), mine)

    with store.single() as tx:
        gone = tx.steps.find_given_away(mine, [StepAttempt(**key(message)) for message in messages.values()])

    assert {name for name in names if StepAttempt(**key(messages[name])) in gone} == {
        "failed",
        "tried_again",
        "anothers",
    }

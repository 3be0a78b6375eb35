"""Following the log under concurrent commits: nothing is left out, nothing comes twice, all in the order of the log."""

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from itertools import islice
from typing import Any

import psycopg
import pytest

from tests.support.processes import wait_until
from workflow_engine.cli.following import Follower, Past, past_events
from workflow_engine.errors import DatabaseUnavailable
from workflow_engine.model.records import EventRecord
from workflow_engine.store.channels import EVENTS
from workflow_engine.store.database import Database
from workflow_engine.store.event_search import EventFilter
from workflow_engine.store.transaction import Store

EVERY = EventFilter()
ALL = Past(limit=None)
POLL_SECONDS = 0.05


def publish(connection: psycopg.Connection[Any], number: int, namespace: str = "default") -> None:
    """Append an event that is about no run, and ring the bell."""
    data = f'{{"subscriber": "s", "deliveries": {number}, "actor": null}}'
    connection.execute(
        "INSERT INTO events (namespace, name, data) VALUES (%s, 'subscriber.requeued', %s::jsonb)", [namespace, data]
    )
    connection.execute(f"NOTIFY {EVENTS}".encode())


def numbers(events: list[EventRecord]) -> list[int]:
    return [event.data["deliveries"] for event in events]


@pytest.fixture
def writer(store: Store) -> Iterator[psycopg.Connection[Any]]:
    """A connection on which every statement commits by itself."""
    with psycopg.connect(store.database.url, autocommit=True) as connection:
        yield connection


@contextmanager
def following(store: Store, number: int, wanted: EventFilter = EVERY) -> Iterator[Future[list[EventRecord]]]:
    """Follow in a thread until ``number`` events have come."""
    follower = Follower(store, wanted, poll_seconds=POLL_SECONDS)
    with ThreadPoolExecutor(1) as pool:
        yield pool.submit(lambda: list(islice(follower.events(ALL, lost=print), number)))


def wait_until_somebody_asks_for_writers(connection: psycopg.Connection[Any]) -> None:
    """Return once a follower has met a gap: it asks who might fill it."""
    query = (
        "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
        " AND query LIKE '%RowExclusiveLock%'"
    )
    wait_until(lambda: connection.execute(query.encode()).fetchone() is not None, within=30, why="a gap is looked at")


def test_what_is_in_the_log_is_told_and_then_what_comes(store: Store, writer: psycopg.Connection[Any]) -> None:
    publish(writer, 1)
    publish(writer, 2)

    with following(store, 4) as told:
        publish(writer, 3)
        publish(writer, 4)

    assert numbers(told.result()) == [1, 2, 3, 4]


@pytest.mark.parametrize("is_committed", [True, False], ids=["committed", "rolled back"])
def test_an_open_transaction_holds_back_what_was_committed_after_it(
    store: Store, writer: psycopg.Connection[Any], database: Database, *, is_committed: bool
) -> None:
    publish(writer, 1)
    with following(store, 4 if is_committed else 3) as told, psycopg.connect(database.url) as slow:
        publish(slow, 2)
        publish(writer, 3)
        wait_until_somebody_asks_for_writers(writer)
        slow.commit() if is_committed else slow.rollback()
        publish(writer, 4)

    assert numbers(told.result()) == ([1, 2, 3, 4] if is_committed else [1, 3, 4])


def test_a_transaction_that_was_open_at_the_beginning_is_not_left_out(
    store: Store, writer: psycopg.Connection[Any], database: Database
) -> None:
    with psycopg.connect(database.url) as slow:
        publish(slow, 1)
        publish(writer, 2)
        with following(store, 3) as told:
            wait_until_somebody_asks_for_writers(writer)
            slow.commit()
            publish(writer, 3)

    assert numbers(told.result()) == [1, 2, 3]


def test_many_writers_at_once_lose_nothing(store: Store, database: Database) -> None:
    def write(first: int) -> None:
        with psycopg.connect(database.url) as connection:
            for number in range(first, first + 50):
                publish(connection, number)
                connection.rollback() if number % 5 == 4 else connection.commit()

    with following(store, 4 * 40) as told, ThreadPoolExecutor(4) as pool:
        list(pool.map(write, range(0, 4_000, 1_000)))

    events = told.result()
    positions = [event.position or 0 for event in events]
    assert sorted(numbers(events)) == [base + i for base in range(0, 4_000, 1_000) for i in range(50) if i % 5 != 4]
    assert positions == sorted(positions)


def test_what_is_not_wanted_is_not_told(store: Store, writer: psycopg.Connection[Any]) -> None:
    publish(writer, 1, "here")
    publish(writer, 2, "there")

    with following(store, 2, EventFilter(namespace="here")) as told:
        publish(writer, 3, "there")
        publish(writer, 4, "here")

    assert numbers(told.result()) == [1, 4]


def test_a_broken_connection_is_told_and_following_goes_on(store: Store, writer: psycopg.Connection[Any]) -> None:
    lost: list[DatabaseUnavailable] = []
    publish(writer, 1)
    events = Follower(store, EVERY, poll_seconds=POLL_SECONDS).events(ALL, lost=lost.append)
    assert numbers([next(events)]) == [1]

    writer.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE datname = current_database() AND pid <> pg_backend_pid()"
    )
    publish(writer, 2)

    assert numbers([next(events)]) == [2]
    assert lost
    events.close()


def test_a_database_that_never_answered_is_an_error() -> None:
    nowhere = Database("postgresql://nobody@127.0.0.1:1/none", max_connections=1)
    with pytest.raises(DatabaseUnavailable):
        next(Follower(Store(nowhere), EVERY, poll_seconds=POLL_SECONDS).events(ALL, lost=print))
    nowhere.close()


def test_the_past_is_paged_through_or_cut_to_the_newest(
    store: Store, writer: psycopg.Connection[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("workflow_engine.cli.following.PAGE", 3)
    for number in range(10):
        publish(writer, number)

    assert numbers(list(past_events(store, EVERY, ALL))) == list(range(10))
    assert numbers(list(past_events(store, EVERY, Past(limit=4)))) == [6, 7, 8, 9]
    assert list(past_events(store, EVERY, Past(limit=0))) == []

"""EventBell tells the relays that there are events: at once, not too often, and never in anybody's way."""

import os
from datetime import timedelta
from threading import Thread

import psycopg

from workflow_engine.engine.event_bell import EventBell
from workflow_engine.store.channels import EVENTS, Subscription
from workflow_engine.store.database import Database


def count(url: str, ring: EventBell, times: int, *, seconds: float) -> int:
    """Return how many notifications come of ringing so often, within a while."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(f"LISTEN {EVENTS}".encode())
        for _ in range(times):
            ring.ring()
        return sum(1 for _ in connection.notifies(timeout=seconds))


def test_a_ring_reaches_whoever_listens(database: Database) -> None:
    bell = EventBell(database, every=timedelta(seconds=60))
    with Subscription(database, EVENTS) as subscription:
        bell.ring()

        assert subscription.wait(seconds=5)
    bell.close()


def test_many_rings_are_few_notifications_and_the_last_one_is_told_too(database: Database) -> None:
    bell = EventBell(database, every=timedelta(seconds=0.2))

    assert 1 <= count(database.url, bell, 10_000, seconds=1) <= 3
    bell.close()


def test_closing_tells_what_is_left(database: Database) -> None:
    bell = EventBell(database, every=timedelta(seconds=60))
    with psycopg.connect(database.url, autocommit=True) as connection:
        connection.execute(f"LISTEN {EVENTS}".encode())
        bell.ring()
        assert len(list(connection.notifies(timeout=5, stop_after=1))) == 1
        bell.ring()

        bell.close()

        assert len(list(connection.notifies(timeout=5, stop_after=1))) == 1


def test_a_database_that_is_down_is_in_nobodys_way() -> None:
    nowhere = Database("postgresql://nobody@127.0.0.1:1/nothing", max_connections=1)
    bell = EventBell(nowhere, every=timedelta(seconds=0.001))

    for _ in range(100):
        bell.ring()

    Thread(target=bell.close).start()  # it may be waiting for its connection; whoever rang has long gone on
    nowhere.close()


def test_a_forked_process_rings_by_itself(database: Database) -> None:
    own = Database(database.url, max_connections=1)
    bell = EventBell(own, every=timedelta(seconds=60))
    with psycopg.connect(database.url, autocommit=True) as connection:
        connection.execute(f"LISTEN {EVENTS}".encode())
        bell.ring()
        assert len(list(connection.notifies(timeout=5, stop_after=1))) == 1

        child = os.fork()
        if child == 0:
            bell.ring()
            bell.close()
            os._exit(0)
        os.waitpid(child, 0)

        assert len(list(connection.notifies(timeout=5, stop_after=1))) == 1
    bell.close()
    own.close()

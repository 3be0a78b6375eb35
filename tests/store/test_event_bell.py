"""EventBell tells the relays that there are events: at once, not too often, and never in anybody's way."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from threading import Barrier, Thread
from threading import enumerate as all_threads

import psycopg
import pytest

from tests.support.processes import wait_until
from tests.support.wires import wire_to
from workflow_engine.engine.circuit_breaker import CircuitBreaker
from workflow_engine.engine.event_bell import EventBell
from workflow_engine.errors import DatabaseUnavailable
from workflow_engine.store.channels import EVENTS, Notifier, Subscription
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


def test_what_rang_while_the_database_was_away_is_told_when_it_is_back(database: Database) -> None:
    with wire_to(database.url) as first:
        port, url = first.port, first.url(database.url)
    own = Database(url, max_connections=1)
    circuit = CircuitBreaker("event_bell", failures=1, open_for=timedelta(seconds=0.1), longest=timedelta(seconds=0.1))
    bell = EventBell(own, every=timedelta(seconds=0.01), circuit=circuit)
    with Subscription(database, EVENTS) as subscription:
        bell.ring()
        wait_until(lambda: circuit.openings >= 2, why="nobody is there, and it is tried again")

        with wire_to(database.url, at=port):
            assert subscription.wait(seconds=5)
            wait_until(lambda: circuit.is_calm)
            bell.close()
    own.close()


def test_a_bell_that_is_closed_does_not_wait_for_a_database_that_is_away() -> None:
    nowhere = Database("postgresql://nobody@127.0.0.1:1/nothing", max_connections=1)
    bell = EventBell(nowhere, every=timedelta(seconds=60))
    others = set(all_threads())
    bell.ring()

    bell.close()

    assert not [thread for thread in set(all_threads()) - others if thread.name == "wfe-event-bell"]
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


def bell_threads() -> int:
    return sum(thread.name == "wfe-event-bell" for thread in all_threads())


def test_threads_that_ring_first_at_once_start_one_thread(database: Database) -> None:
    before, together = bell_threads(), Barrier(8)
    bell = EventBell(database, every=timedelta(seconds=0.001))

    def ring() -> None:
        together.wait(10)
        bell.ring()

    threads = [Thread(target=ring) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    started = bell_threads() - before
    bell.close()

    assert started == 1
    assert bell_threads() == before


def test_a_bell_that_was_closed_rings_again(database: Database) -> None:
    bell = EventBell(database, every=timedelta(seconds=60))
    bell.ring()
    bell.close()
    with Subscription(database, EVENTS) as subscription:
        bell.ring()

        assert subscription.wait(seconds=5)
    bell.close()


def test_a_child_forked_while_somebody_rang_rings_by_itself(database: Database) -> None:
    """The lock and the flag that it inherits are of threads that it does not have."""
    bell = EventBell(Database(database.url, max_connections=1), every=timedelta(seconds=60))
    with Subscription(database, EVENTS) as subscription:
        with bell._changed:
            bell._rung = True
            child = os.fork()
            if child == 0:
                bell.ring()
                bell.close()
                os._exit(0)
            os.waitpid(child, 0)

        assert subscription.wait(seconds=5)


@contextmanager
def notifier(database: Database) -> Iterator[Notifier]:
    made = Notifier(database, EVENTS)
    yield made
    made.close()


def drop_connection(database: Database, notifier: Notifier) -> None:
    assert notifier._connection is not None
    with database.connection() as connection:
        connection.execute("SELECT pg_terminate_backend(%s, 5000)", [notifier._connection.info.backend_pid])


def test_a_connection_that_the_server_has_dropped_costs_no_notification(database: Database) -> None:
    with notifier(database) as ours, Subscription(database, EVENTS) as subscription:
        ours.notify()
        assert subscription.wait(seconds=5)
        drop_connection(database, ours)

        ours.notify()

        assert subscription.wait(seconds=5)


def test_a_server_that_refuses_is_as_good_as_none_and_asked_again(database: Database) -> None:
    """A standby answers, and takes no notification."""
    with notifier(database) as ours, Subscription(database, EVENTS) as subscription:
        refused, ours._notification = ours._notification, b"SELECT 1/0"
        with pytest.raises(DatabaseUnavailable):
            ours.notify()
        ours._notification = refused

        ours.notify()

        assert subscription.wait(seconds=5)


def test_a_database_that_goes_away_for_good_is_reported(database: Database) -> None:
    with notifier(database) as ours:
        ours.notify()
        drop_connection(database, ours)
        ours._database = Database("postgresql://nobody@127.0.0.1:1/nothing", max_connections=1)

        with pytest.raises(DatabaseUnavailable):
            ours.notify()


def test_a_server_that_lets_nobody_listen_is_as_good_as_none(database: Database) -> None:
    with pytest.raises(DatabaseUnavailable, match="does not let us listen"):
        Subscription(database, "")  # as a standby refuses every channel, any server refuses a nameless one

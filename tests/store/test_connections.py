"""Connections: lent and given back, never shared across a fork, and honest about why there is none."""

import os
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import psycopg
import pytest

from workflow_engine import DatabaseNotMigrated, DatabaseUnavailable
from workflow_engine.store import database as module
from workflow_engine.store.database import Database
from workflow_engine.store.transaction import Store


@pytest.fixture
def small(migrated_database: str, monkeypatch: pytest.MonkeyPatch):
    """A database of two connections whose patience is short."""
    monkeypatch.setattr(module, "_CONNECT_TIMEOUT", 1.0)
    database = Database(migrated_database, max_connections=2)
    yield database
    database.close()


def test_a_transaction_is_kept_as_a_whole_or_not_at_all(small: Database) -> None:
    def insert_and_fail() -> None:
        with small.transaction() as connection:
            connection.execute("INSERT INTO workers (id, name, pid) VALUES (gen_random_uuid(), 'ghost', 1)")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        insert_and_fail()

    with small.connection() as connection:
        assert connection.execute("SELECT FROM workers WHERE name = 'ghost'").fetchone() is None


def test_connections_are_given_back(small: Database) -> None:
    for _ in range(10):
        with small.connection() as connection:
            connection.execute("SELECT 1")


def test_more_threads_than_connections_take_turns(small: Database) -> None:
    def ask(number: int) -> int:
        with small.connection() as connection:
            return int(connection.execute("SELECT %s::int AS n", [number]).fetchone().n)

    with ThreadPoolExecutor(8) as threads:
        assert list(threads.map(ask, range(50))) == list(range(50))


def test_who_waits_too_long_is_told_that_all_connections_are_busy(small: Database) -> None:
    busy = pytest.raises(DatabaseUnavailable, match="all 2 connections of this process were busy")
    with small.connection(), small.connection(), busy, small.connection():
        pass


def test_a_broken_connection_is_reported_and_replaced(small: Database) -> None:
    store = Store(small)
    with pytest.raises(DatabaseUnavailable), store.single() as tx:
        tx.connection.execute("SELECT pg_terminate_backend(pg_backend_pid())")

    with store.single() as tx:
        tx.connection.execute("SELECT 1")


def test_a_closed_database_opens_again_when_asked(small: Database) -> None:
    with small.connection():
        pass
    small.close()

    with small.connection() as connection:
        connection.execute("SELECT 1")


def test_threads_that_open_at_once_share_one_pool(small: Database) -> None:
    barrier = Barrier(8)

    def pool_of(_: int) -> int:
        barrier.wait()
        with small.connection():
            return id(small._pool)

    with ThreadPoolExecutor(8) as threads:
        assert len(set(threads.map(pool_of, range(8)))) == 1


def test_a_forked_process_makes_connections_of_its_own(small: Database) -> None:
    with small.connection() as connection:
        mine = connection.info.backend_pid
        reader, writer = os.pipe()
        child = os.fork()
        if child == 0:
            try:
                with small.connection() as own:
                    os.write(writer, str(own.info.backend_pid).encode())
            finally:
                os._exit(0)
        os.close(writer)
        with os.fdopen(reader) as answer:
            theirs = int(answer.read())
        os.waitpid(child, 0)

        assert theirs != mine
        assert connection.execute("SELECT 1 AS one").fetchone() is not None


def test_making_a_database_opens_nothing() -> None:
    Database("postgresql://nobody@127.0.0.1:1/none").close()


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"dbname": "no_such_database"}, 'database "no_such_database" does not exist'),
        ({"port": "1"}, "refused"),
        ({"host": "no.such.host.invalid"}, "resolve|Name or service|getaddrinfo"),
    ],
)
def test_why_there_is_no_connection_is_said(
    migrated_database: str, monkeypatch: pytest.MonkeyPatch, change: dict[str, str], reason: str
) -> None:
    monkeypatch.setattr(module, "_CONNECT_TIMEOUT", 1.0)
    parts = psycopg.conninfo.conninfo_to_dict(migrated_database) | change
    url = f"postgresql://{parts['user']}:{parts.get('password', '')}@{parts['host']}:{parts['port']}/{parts['dbname']}"
    database = Database(url)

    with pytest.raises(DatabaseUnavailable, match=reason), database.connection():
        pass
    database.close()


def test_a_table_or_column_that_is_missing_asks_for_a_migration(small: Database) -> None:
    store = Store(small)
    for query in ["SELECT * FROM runs_of_tomorrow", "SELECT tomorrow FROM runs"]:
        with pytest.raises(DatabaseNotMigrated, match="wfe db upgrade"), store.single() as tx:
            tx.connection.execute(query.encode())


@pytest.mark.parametrize("rounds", [1, 4])
def test_a_deadlocks_victim_tries_again(small: Database, rounds: int) -> None:
    tries = []

    def work(tx: object) -> str:
        tries.append(tx)
        if len(tries) <= rounds:
            raise psycopg.errors.DeadlockDetected("deadlock detected")
        return "done"

    assert Store(small).transact(work) == "done"
    assert len(tries) == rounds + 1


def test_an_eternal_victim_is_told_so(small: Database) -> None:
    def work(tx: object) -> None:
        raise psycopg.errors.DeadlockDetected("deadlock detected")

    with pytest.raises(DatabaseUnavailable, match="ended 5 tries"):
        Store(small).transact(work)

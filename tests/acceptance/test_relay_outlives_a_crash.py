"""A database that crashes forgets its youngest transactions, and gives their places in the log to others."""

import os
import signal
from contextlib import suppress
from datetime import timedelta
from pathlib import Path

import psycopg

from tests.support.audits import numbers
from tests.support.processes import wait_until
from tests.support.relays import Recorder, append_within, running, subscription, wait_for
from workflow_engine.embedded.postgres import EmbeddedPostgres
from workflow_engine.engine.audit_desk import AuditDesk
from workflow_engine.errors import DatabaseUnavailable
from workflow_engine.model.audit_chain import ChainEnd
from workflow_engine.store import migration
from workflow_engine.store.database import Database
from workflow_engine.store.transaction import Store
from workflow_engine.subscribers.audit import AuditSubscriber

UNTROUBLED = timedelta(seconds=30)
"""A lease: no heartbeat in between takes to the disk what waits for none."""
LOST, KEPT = '{"steps": 1}', '{"steps": 2}'


def test_events_that_got_the_places_of_forgotten_ones_are_delivered(tmp_path: Path) -> None:
    """More than the 32 places that a sequence keeps in hand, or nobody would get them again."""
    subscriber = Recorder()
    with EmbeddedPostgres(tmp_path / "postgres", fsync=False) as server:
        migration.upgrade(server.url)
        with running(server.url, subscriber) as relay:
            wait_until(lambda: [each for each in relay.snapshot() if each.is_held])
            with psycopg.connect(server.url, autocommit=True) as connection:
                connection.execute("ALTER SYSTEM SET wal_writer_delay = '10s'")
                connection.execute("SELECT pg_reload_conf()")
                connection.execute("CHECKPOINT")
                connection.execute("SET synchronous_commit = off")
                forgotten = append_within(connection, 200, data=LOST)
                relay.wake()
                wait_for(subscriber, forgotten)
                os.killpg(server.pid or 0, signal.SIGKILL)
            server.stop()
            server.start()
            with psycopg.connect(server.url, autocommit=True) as connection:
                kept = append_within(connection, 200, data=KEPT)
            relay.wake()
            wait_until(lambda: [event for event in subscriber.got if event.data == {"steps": 2}], within=40)
            wait_until(lambda: {e.position for e in subscriber.got if e.data == {"steps": 2}} == set(kept))

    assert set(kept) & set(forgotten), "or nothing was proved"


def end_of_audit_log(store: Store) -> ChainEnd | None:
    """Return the last row of the audit log; None while the database does not answer."""
    with suppress(DatabaseUnavailable, psycopg.OperationalError), store.single() as tx:
        return tx.audit.head()
    return None


def test_audit_rows_that_a_crash_forgot_are_recorded_again_and_once(tmp_path: Path) -> None:
    """Their commits wait for no disk; the cursor's advance comes after them, and is forgotten with them."""
    with EmbeddedPostgres(tmp_path / "postgres", fsync=False) as server:
        migration.upgrade(server.url)
        database = Database(server.url, max_connections=2)
        store = Store(database)
        with running(server.url, subscription(AuditSubscriber(store)), lease=UNTROUBLED, poll_seconds=0.2) as relay:
            wait_until(lambda: [each for each in relay.snapshot() if each.is_held])
            with psycopg.connect(server.url, autocommit=True) as connection:
                connection.execute("ALTER SYSTEM SET wal_writer_delay = '10s'")
                connection.execute("ALTER SYSTEM SET bgwriter_lru_maxpages = 0")
                connection.execute("SELECT pg_reload_conf()")
                connection.execute("CHECKPOINT")
                connection.execute(
                    "INSERT INTO events (run_id, namespace, name, data) "
                    "SELECT gen_random_uuid(), 'default', 'run.started', '{}' FROM generate_series(1, 300)"
                )
                forgotten = wait_until(lambda: (end := end_of_audit_log(store)) and end.number == 300 and end)
                os.killpg(server.pid or 0, signal.SIGKILL)
            server.stop()
            server.start()
            wait_until(
                lambda: (end := end_of_audit_log(store)) and end.number == 300 and end != forgotten,
                within=40,
                why="rows were forgotten, or nothing is proved, and recorded again",
            )
        recorded, flaw = numbers(store), AuditDesk(store).verify().flaw
        database.close()

    assert recorded == list(range(1, 301))
    assert flaw is None

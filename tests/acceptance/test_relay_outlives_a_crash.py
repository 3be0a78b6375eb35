"""A database that crashes forgets its youngest transactions, and gives their places in the log to others."""

import os
import signal
from pathlib import Path

import psycopg

from tests.support.processes import wait_until
from tests.support.relays import Recorder, append_within, running, wait_for
from workflow_engine.embedded.postgres import EmbeddedPostgres
from workflow_engine.store import migration

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

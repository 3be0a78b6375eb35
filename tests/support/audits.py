"""Events for the audit log, and what an intruder with the database's password does to it."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import psycopg

from workflow_engine.model.event_ids import event_id
from workflow_engine.model.records import EventRecord
from workflow_engine.store.transaction import Store

NOON = datetime(2026, 3, 15, 12, tzinfo=UTC)


def an_event(occurred_at: datetime = NOON, *, name: str = "step.started", **values: Any) -> EventRecord:
    """Return an event about a run that nobody knows."""
    run_id = values.pop("run_id", None) or str(uuid4())
    facts: dict[str, Any] = {
        "position": 1,
        "event_id": event_id(name, run_id, "charge", 1, occurred_at),
        "causation_id": None,
        "name": name,
        "version": 1,
        "occurred_at": occurred_at,
        "namespace": "default",
        "workflow": "orders",
        "workflow_version": "1",
        "run_id": run_id,
        "step": "charge",
        "attempt": 1,
        "correlation_id": "c-17",
        "traceparent": None,
        "data": {"worker": "celery@host-1"},
    }
    return EventRecord(**{**facts, **values})


def events(number: int, begin: datetime = NOON) -> list[EventRecord]:
    """Return events of different runs, a second between them."""
    return [an_event(begin + timedelta(seconds=each)) for each in range(number)]


@contextmanager
def intrusion(store: Store) -> Iterator[psycopg.Connection[Any]]:
    """Lend a connection on which no trigger fires: a superuser's, who leaves no other trace."""
    with psycopg.connect(store.database.url) as connection:
        connection.execute("SET LOCAL session_replication_role = replica")
        yield connection


def numbers(store: Store) -> Sequence[int]:
    """Return the numbers in the audit log."""
    with store.transaction() as tx:
        return [row.number for row in tx.audit.read()]

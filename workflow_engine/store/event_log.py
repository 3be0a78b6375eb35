"""Append events to the log, and read them as they were committed."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from psycopg import Connection

from workflow_engine.ids import RunId
from workflow_engine.model.codec import upcast
from workflow_engine.model.event_ids import cause_id, event_id
from workflow_engine.model.events import CATALOGUE, Event
from workflow_engine.model.records import EventRecord
from workflow_engine.model.trace_ids import event_traceparent
from workflow_engine.store.statements import statement

_APPEND = statement("append_events")
_APPEND_NOTICES = statement("append_notices")
_READ = statement("read_events")
_HEAD = statement("log_head")
_POSITION_AT = statement("log_position_at")


@dataclass(frozen=True, slots=True, kw_only=True)
class Fact:
    """An event about a run, and what led to it."""

    run_id: RunId
    event: Event
    cause: str | None = None
    """``Event.as_cause`` of an event of the same transaction."""


class EventLog:
    """The ``events`` table.

    A transaction takes the ids of its events after its first write (so that it has a transaction id by then) and
    shortly before its commit: a missing id is explained within the time a commit takes.
    """

    def __init__(self, connection: Connection[Any]) -> None:
        """Work on the given connection."""
        self._connection = connection
        self._moment: datetime | None = None

    def append(self, facts: Sequence[Fact]) -> list[EventRecord]:
        """Add facts in the order given; they become visible with the transaction that made them true.

        All events of one transaction have happened at the same moment, unless ``begin_moment`` was called between them.
        """
        if not facts:
            return []
        rows = self._connection.execute(
            _APPEND,
            {
                "occurred_at": self._moment,
                "run_ids": [fact.run_id for fact in facts],
                "names": [fact.event.name for fact in facts],
                "versions": [CATALOGUE[fact.event.name].schema_version for fact in facts],
                "steps": [fact.event.step for fact in facts],
                "attempts": [fact.event.attempt for fact in facts],
                "causes": [fact.cause for fact in facts],
                "data": [fact.event.data for fact in facts],
            },
        ).fetchall()
        if rows:
            self._moment = rows[0].occurred_at
        return [event_record(row) for row in rows]

    def begin_moment(self) -> None:
        """Let what is appended from here on have happened later: for facts of one name about one run."""
        self._moment = None

    def keep_moment(self, moment: datetime) -> None:
        """Let what is appended have happened at ``moment``, unless this transaction has appended something before."""
        self._moment = self._moment or moment

    def append_notices(self, events: Sequence[Event], *, namespace: str) -> list[EventRecord]:
        """Add facts that are not about a run, in the order given."""
        if not events:
            return []
        rows = self._connection.execute(
            _APPEND_NOTICES,
            {
                "namespace": namespace,
                "names": [event.name for event in events],
                "data": [event.data for event in events],
            },
        )
        return [event_record(row) for row in rows]

    def read(self, after: int, limit: int) -> list[EventRecord]:
        """Return up to ``limit`` committed events after a position; a smaller one may still be committed later."""
        rows = self._connection.execute(_READ, {"after": after, "limit": limit}).fetchall()
        return [event_record(row) for row in rows]

    def head(self) -> int:
        """Return the largest position that is visible; 0 in an empty log."""
        row = self._connection.execute(_HEAD).fetchone()
        return 0 if row is None else row.head

    def position_at(self, moment: datetime) -> int:
        """Return the position just before the first event at or after ``moment``."""
        row = self._connection.execute(_POSITION_AT, {"moment": moment}).fetchone()
        return 0 if row is None else row.position


def event_record(row: Any) -> EventRecord:
    """Return a row of the log as an envelope, its payload in the newest version."""
    run_id = None if row.run_id is None else RunId(str(row.run_id))
    subject = run_id or f"#{row.id}"
    event = EventRecord(
        position=row.id,
        event_id=event_id(row.name, subject, row.step, row.attempt, row.occurred_at),
        causation_id=cause_id(row.cause, run_id, row.occurred_at),
        name=row.name,
        version=row.version,
        occurred_at=row.occurred_at,
        namespace=row.namespace,
        workflow=row.workflow,
        workflow_version=row.workflow_version,
        run_id=run_id,
        step=row.step,
        attempt=row.attempt,
        correlation_id=row.correlation_id,
        traceparent=None if run_id is None else event_traceparent(run_id, row.traceparent, row.step, row.attempt),
        data=row.data,
    )
    return upcast(event)

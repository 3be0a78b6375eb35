"""The audit log: rows are added to its hash chain, read along it, and found by run, actor and time."""

import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from psycopg import Connection
from psycopg.rows import namedtuple_row
from sqlalchemy import Dialect, select, tuple_
from sqlalchemy.dialects.postgresql.psycopg import PGDialect_psycopg

from workflow_engine.ids import RunId
from workflow_engine.model.audit_chain import Anchor, AuditEntry, AuditRow, ChainEnd, data_from_json, link
from workflow_engine.store.arrays import text_array
from workflow_engine.store.partitions import Month
from workflow_engine.store.statements import statement
from workflow_engine.store.tables.audit import audit_log

_LOCK_HEAD = statement("lock_audit_head")
_FIND = statement("find_audited")
_APPEND = statement("append_audit_rows")
_HEAD = statement("audit_head")
_ANCHORS = statement("audit_anchors")
_FIRST = statement("first_audit_number")
_BEFORE = statement("audit_hash_before")
_READ = statement("read_audit_rows")

_DIALECT: Dialect = PGDialect_psycopg()  # type: ignore[no-untyped-call]  # SQLAlchemy's own gap
_AT_A_TIME: Final = 2_000
"""Rows that a reader of the whole log holds in memory."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditFilter:
    """Which rows of the audit log are wanted; None leaves a field open."""

    namespace: str | None = None
    run_id: RunId | None = None
    actor: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    before: tuple[datetime, int] | None = None
    """Only rows older than this one (``occurred_at``, ``number``): the last of the page before."""


class AuditLog:
    """The ``audit_log`` table, its head and its anchors."""

    def __init__(self, connection: Connection[Any]) -> None:
        """Work on the given connection, which must be in a transaction."""
        self._connection = connection

    def append(self, entries: Sequence[AuditEntry]) -> int:
        """Add events in the order given, those that are not there yet; return how many that were.

        Others who add to the log wait until the transaction ends.
        """
        (head,) = self._connection.execute(_LOCK_HEAD).fetchall()
        rows = []
        end = ChainEnd(number=head.number, hash=head.hash)
        for entry in self._unknown(entries):
            row, text = link(end, entry, head.now)
            rows.append(_with_hashes(text, row))
            end = ChainEnd(number=row.number, hash=row.hash)
        if rows:
            values = {"rows": f"[{','.join(rows)}]", "last_number": end.number, "last_hash": end.hash}
            self._connection.execute(_APPEND, values)
        return len(rows)

    def head(self) -> ChainEnd | None:
        """Return the last row of the chain, as its head says; None if somebody took the head away."""
        row = self._connection.execute(_HEAD).fetchone()
        return None if row is None else ChainEnd(number=row.number, hash=row.hash)

    def anchors(self, first_number: int = 1) -> list[Anchor]:
        """Return what retention has dropped from a number on."""
        rows = self._connection.execute(_ANCHORS, {"first_number": first_number})
        return [Anchor(**row._asdict()) for row in rows]

    def first_number(self, month: Month) -> int | None:
        """Return the first number recorded for events of a month or a later one; None if there is none."""
        (row,) = self._connection.execute(_FIRST, {"start": month.start}).fetchall()
        return None if row.number is None else int(row.number)

    def hash_before(self, number: int) -> bytes | None:
        """Return the hash of the row before a number, be it there or dropped by retention; None if it is missing."""
        row = self._connection.execute(_BEFORE, {"number": number - 1}).fetchone()
        return None if row is None else bytes(row.hash)

    def read(self, after: int = 0) -> Iterator[AuditRow]:
        """Yield all rows after a number in the order of numbers, a few thousand of them in memory at a time."""
        with self._connection.cursor(f"audit_{uuid.uuid4().hex}", row_factory=namedtuple_row) as cursor:
            cursor.itersize = _AT_A_TIME
            for row in cursor.execute(_READ, {"after": after}):
                yield _row(row)

    def page(self, wanted: AuditFilter, limit: int) -> list[AuditRow]:
        """Return the newest rows that fit, newest first."""
        columns = audit_log.c
        query = select(audit_log).order_by(columns.occurred_at.desc(), columns.number.desc()).limit(limit)
        if wanted.namespace is not None:
            query = query.where(columns.namespace == wanted.namespace)
        if wanted.run_id is not None:
            query = query.where(columns.run_id == uuid.UUID(wanted.run_id))
        if wanted.actor is not None:
            query = query.where(columns.actor == wanted.actor)
        if wanted.since is not None:
            query = query.where(columns.occurred_at >= wanted.since)
        if wanted.until is not None:
            query = query.where(columns.occurred_at < wanted.until)
        if wanted.before is not None:
            query = query.where(tuple_(columns.occurred_at, columns.number) < wanted.before)
        compiled = query.compile(dialect=_DIALECT)
        return [_row(row) for row in self._connection.execute(str(compiled).encode(), dict(compiled.params))]

    def _unknown(self, entries: Sequence[AuditEntry]) -> list[AuditEntry]:
        """Return the events that the log does not have, each once."""
        events: dict[str, AuditEntry] = {}
        for entry in entries:
            events.setdefault(entry.event_id, entry)
        values = {
            "event_ids": text_array(events),
            "occurred_at": text_array(entry.occurred_at.isoformat() for entry in events.values()),
        }
        for row in self._connection.execute(_FIND, values):
            del events[row.event_id]
        return list(events.values())


def _with_hashes(text: bytes, row: AuditRow) -> str:
    """Return the JSON that was hashed, its hashes added: one document is both hashed and stored."""
    hashes = f'{{"previous_hash":"\\\\x{row.previous_hash.hex()}","hash":"\\\\x{row.hash.hex()}",'
    return hashes + text.decode()[1:]


def _row(row: Any) -> AuditRow:
    entry = AuditEntry(
        event_id=str(row.event_id),
        event=row.event,
        namespace=row.namespace,
        run_id=None if row.run_id is None else str(row.run_id),
        workflow=row.workflow,
        step=row.step,
        attempt=row.attempt,
        actor=row.actor,
        correlation_id=row.correlation_id,
        occurred_at=row.occurred_at,
        data=data_from_json(row.data) if isinstance(row.data, str) else row.data,
    )
    return AuditRow(
        entry=entry,
        number=row.number,
        recorded_at=row.recorded_at,
        previous_hash=bytes(row.previous_hash),
        hash=bytes(row.hash),
    )

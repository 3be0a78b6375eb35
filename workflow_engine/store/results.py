"""Results of ordinary Celery tasks, saved groups, and chords that PostgreSQL counts."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields
from datetime import datetime, timedelta
from typing import Any, Final

import psycopg
from psycopg.errors import ReadOnlySqlTransaction, UndefinedTable

from workflow_engine.errors import DatabaseNotMigrated, DatabaseUnavailable
from workflow_engine.store.database import Database, PgConnection
from workflow_engine.store.statements import statement

UNAVAILABLE: Final = (
    DatabaseUnavailable,
    DatabaseNotMigrated,
    psycopg.OperationalError,
    psycopg.InterfaceError,
    ReadOnlySqlTransaction,
)
"""What passes by itself or once an operator acts; nothing was committed or all of it: try again."""

_BATCH: Final = 1_000

_RESULT_STORE = statement("result_store")
_RESULT_FIND_MANY = statement("result_find_many")
_RESULT_FORGET = statement("result_forget")
_RESULT_EXPIRE = statement("result_expire")
_GROUP_SAVE = statement("group_save")
_GROUP_FIND = statement("group_find")
_GROUP_DELETE = statement("group_delete")
_GROUP_EXPIRE = statement("group_expire")
_CHORD_SIZE = statement("chord_size")
_CHORD_EXTEND = statement("chord_extend")
_CHORD_STRUCTURE = statement("chord_structure")
_CHORD_ARRIVE = statement("chord_arrive")
_CHORD_CLAIM = statement("chord_claim")
_CHORD_CLOSE = statement("chord_close")
_CHORD_OVERDUE = statement("chord_overdue")
_CHORD_EXPIRE = statement("chord_expire")
_CHORD_ABANDON = statement("chord_abandon")


@dataclass(frozen=True, slots=True, kw_only=True)
class Payload:
    """Something serialized, and how."""

    data: bytes
    content_type: str
    content_encoding: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskResult:
    """A task's state and result; ``result``, ``children`` and ``details`` are serialized alike."""

    task_id: str
    state: str
    result: bytes | None
    content_type: str
    content_encoding: str
    traceback: str | None = None
    children: bytes | None = None
    date_done: datetime | None = None
    group_id: str | None = None
    parent_id: str | None = None
    name: str | None = None
    worker: str | None = None
    retries: int | None = None
    queue: str | None = None
    details: bytes | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrival:
    """A finished task's place in a chord. ``position`` orders the body's argument; ``None`` comes last.

    ``errbacks``: those that its failure has called already, serialized like its result.
    """

    chord_id: str
    position: int | None
    body: Payload | None
    errbacks: bytes | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ChordPart:
    """What one part of a chord returned."""

    task_id: str
    state: str
    result: Payload
    errbacks: Payload | None


@dataclass(frozen=True, slots=True, kw_only=True)
class OverdueChord:
    """A complete chord whose body nobody has confirmed as sent."""

    chord_id: str
    body: Payload


class ResultStore:
    """Task results and saved groups."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def store(self, result: TaskResult, *, expires: timedelta | None, durable: bool = True) -> None:
        """Keep a result, unless a SUCCESS of the same task is kept already.

        Without ``durable`` a crash of the database may take back what was stored in the last second.
        """
        with _connection(self._database) as connection:
            connection.execute(_RESULT_STORE, _values(result) | {"expires": expires, "durable": durable})

    def find_many(self, task_ids: Sequence[str], states: Sequence[str] | None = None) -> list[TaskResult]:
        """Return the results that are there, in any order; with ``states``, only those in one of them."""
        with _connection(self._database) as connection:
            rows = connection.execute(
                _RESULT_FIND_MANY,
                {"task_ids": list(task_ids), "states": None if states is None else list(states)},
            )
            return [TaskResult(**row._asdict()) for row in rows]

    def forget(self, task_id: str) -> None:
        """Delete a result, if it is there."""
        with _connection(self._database) as connection:
            connection.execute(_RESULT_FORGET, {"task_id": task_id})

    def save_group(self, group_id: str, group: Payload, *, expires: timedelta | None) -> None:
        """Keep which results belong to a group, in place of what was kept before."""
        with _connection(self._database) as connection:
            connection.execute(
                _GROUP_SAVE,
                {
                    "group_id": group_id,
                    "result": group.data,
                    "content_type": group.content_type,
                    "content_encoding": group.content_encoding,
                    "expires": expires,
                },
            )

    def find_group(self, group_id: str) -> Payload | None:
        """Return a saved group."""
        with _connection(self._database) as connection:
            row = connection.execute(_GROUP_FIND, {"group_id": group_id}).fetchone()
        return row and Payload(data=row.result, content_type=row.content_type, content_encoding=row.content_encoding)

    def delete_group(self, group_id: str) -> None:
        """Delete a saved group, if it is there."""
        with _connection(self._database) as connection:
            connection.execute(_GROUP_DELETE, {"group_id": group_id})

    def delete_expired(self) -> int:
        """Delete the results and groups past their time; return how many."""
        return _in_batches(self._database, _RESULT_EXPIRE, {}) + _in_batches(self._database, _GROUP_EXPIRE, {})


class ChordStore:
    """Chords: how many parts, which have arrived, and whether the body was sent."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def set_size(self, chord_id: str, size: int) -> None:
        """Say how many parts a chord waits for; a chord that is over is left alone."""
        self._change(_CHORD_SIZE, {"group_id": chord_id, "size": size})

    def extend(self, chord_id: str) -> None:
        """Make a chord wait for one part more."""
        self._change(_CHORD_EXTEND, {"group_id": chord_id})

    def set_structure(self, chord_id: str, structure: Payload) -> None:
        """Keep how the results of the header nest."""
        self._change(
            _CHORD_STRUCTURE,
            {
                "group_id": chord_id,
                "structure": structure.data,
                "content_type": structure.content_type,
                "content_encoding": structure.content_encoding,
            },
        )

    def arrive(self, result: TaskResult, arrival: Arrival, *, expires: timedelta | None, store: bool = True) -> bool:
        """Commit a part's result and its arrival together; say whether the chord is complete and not closed.

        A part is counted once, whatever is delivered twice. ``store=False`` counts it without keeping its
        result for readers (``ignore_result``); the body gets it all the same.
        """
        body = arrival.body
        values = _values(result) | {
            "expires": expires,
            "store": store,
            "chord_id": arrival.chord_id,
            "position": _LAST if arrival.position is None else arrival.position,
            "errbacks": arrival.errbacks,
            "body": body and body.data,
            "body_content_type": body and body.content_type,
            "body_content_encoding": body and body.content_encoding,
        }
        with _connection(self._database) as connection:
            row = connection.execute(_CHORD_ARRIVE, values).fetchone()
        return bool(row and row.is_complete)

    @contextmanager
    def claim(self, chord_id: str) -> Iterator["ChordClaim | None"]:
        """Lend the right to send the body of a complete chord; ``None`` if another has it or it was sent.

        The right is a row lock: it ends with this block, or with this process. Only ``close()`` followed by a
        regular end of the block confirms the body.
        """
        with _connection(self._database) as connection, connection.transaction():
            rows = connection.execute(_CHORD_CLAIM, {"group_id": chord_id}).fetchall()
            yield ChordClaim(connection, chord_id, rows) if rows else None

    def overdue(self, *, age: timedelta, limit: int) -> list[OverdueChord]:
        """Return chords complete for longer than ``age`` whose body nobody has confirmed, oldest first."""
        with _connection(self._database) as connection:
            rows = connection.execute(_CHORD_OVERDUE, {"age": age, "limit": limit})
            return [
                OverdueChord(
                    chord_id=row.group_id,
                    body=Payload(
                        data=row.body,
                        content_type=row.body_content_type,
                        content_encoding=row.body_content_encoding,
                    ),
                )
                for row in rows
            ]

    def delete_expired(self, *, closed: timedelta, untouched: timedelta) -> int:
        """Delete chords ``closed`` long ago and open ones ``untouched`` for long; return how many."""
        with _connection(self._database) as connection:
            abandoned = connection.execute(_CHORD_ABANDON, {"age": untouched}).rowcount
        return abandoned + _in_batches(self._database, _CHORD_EXPIRE, {"age": closed})

    def _change(self, sql: bytes, values: Mapping[str, Any]) -> None:
        with _connection(self._database) as connection:
            connection.execute(sql, values)


class ChordClaim:
    """The right to send one chord's body, while its transaction lasts, and what the body is to get."""

    def __init__(self, connection: PgConnection, chord_id: str, rows: Sequence[Any]) -> None:
        """Take the rows of chord_claim.sql: the chord, then its parts."""
        self._connection = connection
        self._chord_id = chord_id
        chord, *parts = rows
        self.structure = _payload(chord.result, chord.content_type, chord.content_encoding)
        self.parts = [
            ChordPart(
                task_id=part.task_id,
                state=part.state,
                result=Payload(
                    data=part.result, content_type=part.content_type, content_encoding=part.content_encoding
                ),
                errbacks=_payload(part.errbacks, part.content_type, part.content_encoding),
            )
            for part in parts
        ]

    def close(self) -> None:
        """Confirm the body as sent, or its failure as reported; parts that come again change nothing."""
        self._connection.execute(_CHORD_CLOSE, {"group_id": self._chord_id})


_LAST: Final = 2**31 - 1
_TASK_RESULT_FIELDS: Final = tuple(field.name for field in fields(TaskResult))


def _values(result: TaskResult) -> dict[str, Any]:
    return {name: getattr(result, name) for name in _TASK_RESULT_FIELDS}


def _part(row: Any) -> ChordPart:
    return ChordPart(
        task_id=row.task_id,
        state=row.state,
        result=Payload(data=row.result, content_type=row.content_type, content_encoding=row.content_encoding),
        errbacks=_payload(row.errbacks, row.content_type, row.content_encoding),
    )


def _payload(data: bytes | None, content_type: str, content_encoding: str) -> Payload | None:
    if data is None:
        return None
    return Payload(data=data, content_type=content_type, content_encoding=content_encoding)


@contextmanager
def _connection(database: Database) -> Iterator[PgConnection]:
    try:
        with database.connection() as connection:
            yield connection
    except UndefinedTable as error:
        raise DatabaseNotMigrated("the result tables are missing: run `wfe db upgrade`") from error


def _in_batches(database: Database, sql: bytes, values: Mapping[str, Any]) -> int:
    total = 0
    while True:
        with _connection(database) as connection:
            deleted = connection.execute(sql, {**values, "batch": _BATCH}).rowcount
        total += deleted
        if deleted < _BATCH:
            return total

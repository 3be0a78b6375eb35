"""Leadership: a role's advisory lock, held by a connection of its own."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import psycopg
from psycopg.rows import namedtuple_row

from workflow_engine.errors import DatabaseUnavailable
from workflow_engine.release import release
from workflow_engine.store.database import Database, PgConnection
from workflow_engine.store.statements import statement

_TRY = statement("try_lead")
_RECORD = statement("record_leader")
_DEPOSE = statement("depose_leader")

_SPACE: Final = 1_701_734_764
"""The first half of our advisory locks' keys; the second half is the role."""


class Leadership:
    """One candidate for one role. While its connection lives, nobody else can have what it has."""

    def __init__(self, database: Database, role: str, name: str) -> None:
        """Stand for ``role`` as ``name``; nothing is opened yet."""
        self._database = database
        self._role = {"space": _SPACE, "role": role}
        self._name = name
        self._connection: PgConnection | None = None

    def try_lead(self, lease: timedelta) -> bool:
        """Take the role, unless a leader has it who was heard of within ``lease``; return whether it is ours.

        Raises:
            DatabaseUnavailable: PostgreSQL does not answer.
        """
        with self._connected() as connection:
            row = self._ask(connection, _TRY)
            if not row.elected and self._depose(connection, lease):
                row = self._ask(connection, _TRY)
            if row.elected:
                self._record(connection)
            return bool(row.elected)

    def renew(self) -> None:
        """Say that the leader is awake.

        Raises:
            DatabaseUnavailable: the connection broke, and the role with it.
        """
        if self._connection is None:
            raise DatabaseUnavailable("the leader has no connection any more")
        with self._connected() as connection:
            self._record(connection)

    def resign(self) -> None:
        """Give the role up, and the connection with it."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _depose(self, connection: PgConnection, lease: timedelta) -> bool:
        row = self._ask(connection, _DEPOSE, lease=lease)
        return bool(row and row.deposed)

    def _record(self, connection: PgConnection) -> None:
        facts = {"name": self._name, "release": release(), "told_at": datetime.now(UTC)}
        connection.execute(_RECORD, {**self._role, **facts})

    def _ask(self, connection: PgConnection, query: bytes, **values: Any) -> Any:
        return connection.execute(query, {**self._role, **values}).fetchone()

    @contextmanager
    def _connected(self) -> Iterator[PgConnection]:
        try:
            if self._connection is None:
                self._connection = self._database.connect()
                self._connection.row_factory = namedtuple_row
                self._connection.execute("SET synchronous_commit = off")  # a lost heartbeat is told again
            yield self._connection
        except psycopg.Error as error:
            self.resign()
            raise DatabaseUnavailable(f"PostgreSQL does not answer: {error}") from error

"""The NOTIFY channels: notifying, and waiting for it."""

from collections.abc import Iterable
from dataclasses import dataclass
from selectors import EVENT_READ, DefaultSelector
from time import time
from types import TracebackType
from typing import Any, Self

import psycopg
from psycopg import sql

from workflow_engine.errors import DatabaseUnavailable
from workflow_engine.store.database import Database, PgConnection

READY = "wfe_ready"
"""Triggers notify it when steps become ready outside the hot path, or a run moves there; each namespace has its own."""

TIMERS = "wfe_timers"
"""A trigger notifies it of a timer that is due soon: in how many seconds since 1970, rounded down."""

NAMESPACES = "wfe_namespaces"
"""A trigger notifies it when a namespace gets its first workflow, or loses its last one."""

EVENTS = "wfe_events"
"""Whoever has published notifies it, now and then: the relay reads on."""


@dataclass(frozen=True, slots=True)
class Notice:
    """Something was notified."""

    channel: str
    payload: str


class Subscription:
    """A connection of its own that listens to channels."""

    def __init__(self, database: Database, *channels: str) -> None:
        """Listen to ``channels``.

        Raises:
            DatabaseUnavailable: PostgreSQL does not answer.
        """
        self._connection = database.connect()
        self._pending: list[Notice] = []
        # What comes along with an answer to a question of ours, psycopg takes off the socket.
        self._connection.add_notify_handler(lambda told: self._pending.append(Notice(told.channel, told.payload)))
        self.channels: set[str] = set()
        """Those that are listened to."""
        try:
            self.listen(channels)
        except DatabaseUnavailable:
            self._connection.close()
            raise
        self._selector = DefaultSelector()
        self._selector.register(self._connection.pgconn.socket, EVENT_READ)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._selector.close()
        self._connection.close()

    def listen(self, channels: Iterable[str]) -> None:
        """Listen to exactly these channels from now on.

        Raises:
            DatabaseUnavailable: PostgreSQL does not answer, or does not let us listen.
        """
        wanted = set(channels)
        for word, names in (("LISTEN {}", wanted - self.channels), ("UNLISTEN {}", self.channels - wanted)):
            for name in sorted(names):
                self._execute(sql.SQL(word).format(sql.Identifier(name)))
        self.channels = wanted

    def clock_offset(self) -> float:
        """Return by how many seconds PostgreSQL's clock is ahead of this host's, to within half a round trip.

        Raises:
            DatabaseUnavailable: the connection broke.
        """
        before = time()
        row = self._execute(sql.SQL("SELECT extract(epoch FROM clock_timestamp())::float8")).fetchone()
        return float(row[0]) - (before + time()) / 2 if row else 0.0

    def wait(self, seconds: float) -> bool:
        """Return True once something was notified, False after ``seconds`` without, or before if it was something else.

        Raises:
            DatabaseUnavailable: the connection broke; notifications may have been missed.
        """
        return bool(self.notices(seconds))

    def notices(self, seconds: float) -> list[Notice]:
        """Return what was notified, once something was; nothing after ``seconds`` without, or before.

        Raises:
            DatabaseUnavailable: the connection broke; notifications may have been missed.
        """
        # Not by psycopg's notifies(): it looks ten times a second whether it was interrupted, and busy logs ring often.
        heard = self._heard()
        if heard or not self._selector.select(seconds):
            return heard
        try:
            self._connection.pgconn.consume_input()
        except psycopg.OperationalError as error:
            raise DatabaseUnavailable(f"the listening connection broke: {error}") from error
        return self._heard()

    def _heard(self) -> list[Notice]:
        heard, self._pending = self._pending, []
        while (notified := self._connection.pgconn.notifies()) is not None:
            heard.append(Notice(notified.relname.decode(), notified.extra.decode()))
        return heard

    def _execute(self, query: sql.Composed | sql.SQL) -> psycopg.Cursor[Any]:
        try:
            return self._connection.execute(query)
        except psycopg.Error as error:
            raise DatabaseUnavailable(f"PostgreSQL does not let us listen: {error}") from error


class Notifier:
    """A connection of its own that notifies one channel, made when it is first needed and again after it broke."""

    def __init__(self, database: Database, channel: str) -> None:
        """Notify ``channel``."""
        self._database = database
        self._notification = sql.SQL("NOTIFY {}").format(sql.Identifier(channel)).as_string().encode()
        self._connection: PgConnection | None = None

    def notify(self) -> None:
        """Wake whoever listens.

        Raises:
            DatabaseUnavailable: PostgreSQL does not answer.
        """
        was_there = self._connection is not None
        try:
            self._notify()
        except DatabaseUnavailable:
            if not was_there:
                raise
            self._notify()  # the server may have started again since the last time

    def close(self) -> None:
        """Close the connection, if there is one."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _notify(self) -> None:
        try:
            if self._connection is None:
                self._connection = self._database.connect()
                # A notification changes nothing that could be lost: its commit need not wait for the disk.
                self._connection.execute("SET synchronous_commit = off")
            self._connection.execute(self._notification)
        except psycopg.Error as error:  # a standby, for one, answers but refuses
            self.close()
            raise DatabaseUnavailable(f"PostgreSQL was not notified: {error}") from error

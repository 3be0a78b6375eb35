"""The NOTIFY channels: notifying, and waiting for it."""

from selectors import EVENT_READ, DefaultSelector
from types import TracebackType
from typing import Self

import psycopg
from psycopg import sql

from workflow_engine.errors import DatabaseUnavailable
from workflow_engine.store.database import Database, PgConnection

READY = "wfe_ready"
"""A trigger notifies it when a step becomes ready outside the hot path."""

EVENTS = "wfe_events"
"""Whoever has published notifies it, now and then: the relay reads on."""


class Subscription:
    """A connection of its own that listens to one channel."""

    def __init__(self, database: Database, channel: str) -> None:
        """Listen to ``channel``.

        Raises:
            DatabaseUnavailable: PostgreSQL does not answer.
        """
        self._connection = database.connect()
        try:
            self._connection.execute(sql.SQL("LISTEN {}").format(sql.Identifier(channel)))
        except psycopg.Error as error:
            self._connection.close()
            raise DatabaseUnavailable(f"PostgreSQL does not let us listen: {error}") from error
        self._selector = DefaultSelector()
        self._selector.register(self._connection.pgconn.socket, EVENT_READ)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._selector.close()
        self._connection.close()

    def wait(self, seconds: float) -> bool:
        """Return True once something was notified, False after ``seconds`` without, or before if it was something else.

        Raises:
            DatabaseUnavailable: the connection broke; notifications may have been missed.
        """
        # Not by psycopg's notifies(): it looks ten times a second whether it was interrupted, and busy logs ring often.
        if not self._selector.select(seconds):
            return False
        pgconn, heard = self._connection.pgconn, False
        try:
            pgconn.consume_input()
            while pgconn.notifies() is not None:
                heard = True
        except psycopg.OperationalError as error:
            raise DatabaseUnavailable(f"the listening connection broke: {error}") from error
        return heard


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

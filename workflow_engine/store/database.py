"""The connection pool and transactions of one PostgreSQL database."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from functools import cached_property
from threading import Lock
from typing import Any

import psycopg
from psycopg.rows import namedtuple_row
from psycopg_pool import ConnectionPool, PoolTimeout

from workflow_engine.errors import DatabaseUnavailable
from workflow_engine.store.statements import statement
from workflow_engine.store.warm_pool import WarmPool

PgConnection = psycopg.Connection[Any]
_CONNECT_TIMEOUT = 5.0
_BOUND = statement("bound_statements")


class PooledConnection(psycopg.Connection[Any]):
    """A connection with a cursor that the hot statements share: making one costs as much as running it."""

    @cached_property
    def hot_cursor(self) -> psycopg.Cursor[Any]:
        """A cursor for statements whose answer is read at once."""
        return self.cursor()


def hot_cursor(connection: PgConnection) -> psycopg.Cursor[Any]:
    """Return the connection's shared cursor, or a new one where it has none."""
    return connection.hot_cursor if isinstance(connection, PooledConnection) else connection.cursor()


def bound(connection: PgConnection, longest: timedelta) -> None:
    """Let no statement of the connection's transaction take longer."""
    connection.execute(_BOUND, {"milliseconds": int(longest.total_seconds() * 1_000)})


class Database:
    """Connections to one PostgreSQL, made when first asked for and never shared across a fork."""

    def __init__(self, url: str, *, max_connections: int = 10, application_name: str = "workflow_engine") -> None:
        """Remember where the database is; nothing is opened yet.

        Args:
            url: a libpq URL (``postgresql://…``); SQLAlchemy's ``postgresql+psycopg://`` is understood too.
            max_connections: how many connections this process may hold at once.
            application_name: what ``pg_stat_activity`` shows.
        """
        self.url = url.replace("postgresql+psycopg://", "postgresql://", 1)
        self._max_connections = max_connections
        self._application_name = application_name
        self._lock = Lock()
        self._pool: WarmPool[PooledConnection] | None = None
        self._pid = 0

    @contextmanager
    def connection(self) -> Iterator[PgConnection]:
        """Lend an autocommit connection: each statement is a transaction of its own."""
        pool = self._pool
        if pool is None or self._pid != os.getpid():
            pool = self._open()
        try:
            connection = pool.getconn()
        except PoolTimeout as error:
            raise DatabaseUnavailable(self._reason(error)) from error
        try:
            yield connection
        finally:
            pool.putconn(connection)

    @contextmanager
    def transaction(self) -> Iterator[PgConnection]:
        """Lend a connection inside a transaction that commits at the end, or rolls back if an error leaves it."""
        with self.connection() as connection, connection.transaction():
            yield connection

    def connect(self) -> PgConnection:
        """Open a connection outside the pool (for LISTEN); the caller closes it."""
        try:
            return psycopg.connect(
                self.url, autocommit=True, application_name=self._application_name, connect_timeout=5
            )
        except psycopg.OperationalError as error:
            raise DatabaseUnavailable(f"PostgreSQL does not answer: {error}") from error

    def close(self) -> None:
        """Close the pool, if this process opened one."""
        with self._lock:
            if self._pool is not None and self._pid == os.getpid():
                self._pool.close()
            self._pool = None

    def _reason(self, error: PoolTimeout) -> str:
        """Return why no connection could be had: the pool only knows that it took too long."""
        try:
            self.connect().close()
        except DatabaseUnavailable as reason:
            return str(reason)
        return f"all {self._max_connections} connections of this process were busy: {error}"

    def _open(self) -> WarmPool[PooledConnection]:
        with self._lock:
            if self._pool is None or self._pid != os.getpid():
                # A pool inherited through fork belongs to the parent: forget it, do not close its sockets.
                self._pool = WarmPool(
                    ConnectionPool(
                        self.url,
                        connection_class=PooledConnection,
                        min_size=1,
                        max_size=self._max_connections,
                        timeout=_CONNECT_TIMEOUT,
                        num_workers=1,
                        kwargs={
                            "autocommit": True,
                            "application_name": self._application_name,
                            "connect_timeout": int(_CONNECT_TIMEOUT),
                            "row_factory": namedtuple_row,
                        },
                        configure=_configure,
                        open=True,
                    )
                )
                self._pid = os.getpid()
            return self._pool


def _configure(connection: PgConnection) -> None:
    """Plan each statement once: ours find their rows by key whatever the values, and replanning costs as much again.

    Without sequential scans, because a plan made while a table was small would go on reading all of it as it grows.
    """
    connection.execute(
        "SET plan_cache_mode = force_generic_plan; SET enable_seqscan = off; "
        # What it costs is far more than what it saves: a plan for all values looks dearer than what is done by it.
        "SET jit = off; "
        # A process that is stopped in the middle of a transaction must not hold its locks, and its place in the event
        # log, for longer. Nothing of ours thinks between two statements.
        "SET idle_in_transaction_session_timeout = '30s'"
    )

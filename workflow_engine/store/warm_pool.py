"""WarmPool: a pool of connections that lends the one that was used last."""

from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock
from time import monotonic
from typing import Any, Final, Generic, TypeVar

from psycopg import Connection
from psycopg.pq import TransactionStatus
from psycopg_pool import ConnectionPool

C = TypeVar("C", bound=Connection[Any])
_TURN: Final = 60.0
"""Seconds after which a connection goes through the pool, which replaces those that have been open for long."""


class WarmPool(Generic[C]):
    """Keeps one connection at hand, in front of psycopg's pool.

    That one lends its connections in turn. The server has a process for each: where two take turns, what one has read
    the other has to read as well. A step of a chain took a seventh longer.
    """

    def __init__(self, pool: ConnectionPool[C]) -> None:
        """Lend what ``pool`` has."""
        self._pool = pool
        self._at_hand = deque[C]()
        self._turn = monotonic()
        self._waiting = 0
        self._lock = Lock()

    def getconn(self) -> C:
        """Return a connection, to be given back with ``putconn``.

        Raises:
            PoolTimeout: all were busy for too long, or there is no server.
        """
        return self._take() or self._wait()

    def putconn(self, connection: C) -> None:
        """Take a connection back, and keep it at hand unless it is broken, or has been for long."""
        if self._at_hand or connection.pgconn.transaction_status != TransactionStatus.IDLE or self._is_its_turn():
            self._pool.putconn(connection)
            return
        self._at_hand.append(connection)
        # Whoever asked, or closed the pool, before it was at hand, has not found it there.
        if self._waiting or self._pool.closed:
            self._give_up()

    def close(self) -> None:
        """Close what is here, and later on what comes back."""
        self._pool.close()
        self._give_up()

    def _take(self) -> C | None:
        try:
            return self._at_hand.pop()
        except IndexError:
            return None

    def _wait(self) -> C:
        with self._counted():
            return self._take() or self._pool.getconn()

    @contextmanager
    def _counted(self) -> Iterator[None]:
        with self._lock:
            self._waiting += 1
        try:
            yield
        finally:
            with self._lock:
                self._waiting -= 1

    def _give_up(self) -> None:
        """Let the pool have what is at hand."""
        if (connection := self._take()) is not None:
            self._pool.putconn(connection)

    def _is_its_turn(self) -> bool:
        now = monotonic()
        if now - self._turn < _TURN:
            return False
        self._turn = now
        return True

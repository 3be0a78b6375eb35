"""Receipts: a worker tells Redis what messages it has, and is done with, and does not wait for answers."""

from contextlib import suppress
from threading import Lock
from time import monotonic
from typing import Any, Final

from redis import exceptions as redis_errors

_MOST_UNREAD: Final = 64
"""Answers that may wait to be read: a kilobyte at most."""
_IDLE: Final = 10.0
"""Seconds after which a connection is made anew: brokers, and what is on the way to them, close those that are idle."""


class Receipts:
    """Commands for whose answers nobody waits: a connection of their own, whose answers are read when there are some.

    The broker does them in the order in which they were sent. What it could not do is told later, or found by
    coordinators: at worst a message is forgotten, or comes again.
    """

    def __init__(self) -> None:
        """Without a connection: the first command takes one."""
        self._lock = Lock()
        self._pool: Any = None
        self._connection: Any = None
        self._socket: Any = None
        self._unread = 0
        self._sent_at = monotonic()

    def send(self, pool: Any, *commands: tuple[Any, ...]) -> None:
        """Send commands, which can be sent twice, on a connection of ``pool``; it may be another one than before.

        ``pool`` is None where the channel has none any more: then the old connection is made anew.

        Raises:
            ConnectionError: redis-py's: the broker is away.
            ResponseError: redis-py's: the broker refused these commands or earlier ones.
        """
        with self._lock:
            connection = self._connected(pool)
            self._leave_idle()
            packed = connection.pack_commands(commands)
            try:
                connection.send_packed_command(packed, check_health=False)
            except redis_errors.ConnectionError:  # it was closed; this makes a new one
                connection.send_packed_command(packed, check_health=False)
            if connection._sock is not self._socket:  # noqa: SLF001  it was closed meanwhile, and its answers with it
                self._socket, self._unread = connection._sock, 0  # noqa: SLF001
            self._unread += len(commands)
            self._sent_at = monotonic()
            if self._unread >= _MOST_UNREAD:
                self._read()

    def settle(self) -> None:
        """Come back when all that was sent is done."""
        with self._lock:
            if self._connection is not None and self._connection._sock is self._socket:  # noqa: SLF001
                self._read()

    def _connected(self, pool: Any) -> Any:
        if pool is not None and self._pool is not pool:
            self._pool, self._connection = pool, pool.get_connection()
        if self._connection is None:
            raise redis_errors.ConnectionError("the channel is closed")
        return self._connection

    def _leave_idle(self) -> None:
        """Close a connection of which nobody knows whether it still leads anywhere, once its answers are read."""
        if monotonic() - self._sent_at > _IDLE and self._connection._sock is self._socket:  # noqa: SLF001
            with suppress(redis_errors.ConnectionError):
                while self._unread and self._connection.can_read(0):
                    self._read(1)
            self._connection.disconnect()

    def _read(self, most: int = _MOST_UNREAD) -> None:
        refused: Exception | None = None
        for _ in range(min(self._unread, most)):
            self._unread -= 1
            try:
                self._connection.read_response()
            except redis_errors.ResponseError as error:
                refused = refused or error
        if refused is not None:
            raise refused

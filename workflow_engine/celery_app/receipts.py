"""Receipts: a worker tells Redis what messages it has, and is done with, and does not wait for answers."""

from threading import Lock
from typing import Any, Final

from redis import exceptions as redis_errors

_MOST_UNREAD: Final = 64
"""Answers that may wait to be read: a kilobyte at most."""


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

    def send(self, pool: Any, *commands: tuple[Any, ...]) -> None:
        """Send commands on a connection of ``pool``, which may be another one than before."""
        with self._lock:
            connection = self._connected(pool)
            connection.send_packed_command(connection.pack_commands(commands), check_health=False)
            if connection._sock is not self._socket:  # noqa: SLF001  it was closed meanwhile, and its answers with it
                self._socket, self._unread = connection._sock, 0  # noqa: SLF001
            self._unread += len(commands)
            if self._unread >= _MOST_UNREAD:
                self._read()

    def settle(self) -> None:
        """Come back when all that was sent is done."""
        with self._lock:
            if self._connection is not None and self._connection._sock is self._socket:  # noqa: SLF001
                self._read()

    def _connected(self, pool: Any) -> Any:
        if self._connection is None or self._pool is not pool:
            self._pool, self._connection = pool, pool.get_connection()
        return self._connection

    def _read(self) -> None:
        refused: Exception | None = None
        while self._unread:
            self._unread -= 1
            try:
                self._connection.read_response()
            except redis_errors.ResponseError as error:
                refused = refused or error
        if refused is not None:
            raise refused

"""PublishingConnections: connections to the broker that wait for it a bounded time only."""

import os
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from threading import Lock
from typing import Any, Final

from celery import Celery
from kombu.exceptions import BatchPublishError, LimitExceeded, OperationalError
from kombu.pools import ProducerPool

PATIENCE: Final = 3.0
"""Seconds to wait for the broker to accept a connection, or to answer upon it, before it counts as away."""

NOT_TAKEN: Final = (OperationalError, BatchPublishError, LimitExceeded, OSError)
"""What publishing raises where the broker does not take messages, or does not say that it has."""

_TIMEOUTS: Final[dict[str, tuple[str, ...]]] = {
    "redis": ("socket_connect_timeout", "socket_timeout"),
    "amqp": ("read_timeout", "write_timeout"),
}
"""What kombu's transports call it; those not named here keep what the app says."""


def _not_after_silence(error: Exception, *_: object) -> None:
    """Let kombu try again where the broker refused or hung up: whoever is silent is not waited for twice."""
    redis = sys.modules.get("redis")  # whoever has an error of its has loaded it, and it costs too much for others
    if isinstance(error, TimeoutError) or (redis is not None and isinstance(error, redis.TimeoutError)):
        raise error


RETRY_POLICY: Final[dict[str, Any]] = {
    "max_retries": 2,
    "interval_start": 0.0,
    "interval_step": 0.1,
    "interval_max": 0.2,
    "errback": _not_after_silence,
}
"""A broker that is down is noticed within a second, one that is silent after ``PATIENCE``.

kombu's own patience is six seconds; for a broker that accepts a connection and then says nothing, it may have no end.
"""


class PublishingConnections:
    """A pool beside the app's own, whose connections also wait for messages, which may take for ever."""

    def __init__(self, app: Celery, patience: float) -> None:
        """Connect to the broker to which ``app`` publishes, and wait ``patience`` seconds for what it says."""
        self._app = app
        self._patience = patience
        self._lock = Lock()
        self._pool: Any = None
        self._pid = 0

    def acquire(self) -> AbstractContextManager[Any]:
        """Lend a producer.

        Raises:
            LimitExceeded: every connection was busy for as long as one waits for the broker.
        """
        pool = self._pool
        if pool is None or self._pid != os.getpid():
            pool = self._open()
        producer: AbstractContextManager[Any] = pool.acquire(block=True, timeout=self._patience)
        return producer

    def ask(self) -> None:
        """Connect anew, which makes the broker answer, and hang up.

        Raises:
            OperationalError: it does not answer.
        """
        with self.anew():
            pass

    @contextmanager
    def anew(self) -> Iterator[Any]:
        """Lend a connection of its own that the broker has answered on.

        Raises:
            OperationalError: it does not answer.
        """
        with self._connection() as connection:
            connection.ensure_connection(**RETRY_POLICY)
            yield connection

    def _open(self) -> Any:
        with self._lock:
            if self._pool is None or self._pid != os.getpid():
                # A pool inherited through fork belongs to the parent: forget it, do not close its sockets.
                limit = self._app.pool.limit
                self._pool = ProducerPool(self._connection().Pool(limit=limit), limit=limit)
                self._pid = os.getpid()
            return self._pool

    def _connection(self) -> Any:
        with self._app.connection_for_write() as plain:
            driver = plain.transport.driver_type
        timeouts = dict.fromkeys(_TIMEOUTS.get(driver, ()), self._patience)
        return self._app.connection_for_write(connect_timeout=self._patience, transport_options=timeouts)

"""kombu's Redis transport, with the client kept from one command to the next.

kombu makes a new ``Redis`` object for every command it sends: one for each publish, receipt and acknowledgement. A
client is only a pool and a table of parsers, but filling that table costs about 80 microseconds, a seventh of what a
worker's main process spends on a message. Only apps of our own use this; an app given to ``install`` keeps its own.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from time import monotonic
from typing import Any, Final

from kombu.transport import redis
from kombu.utils.json import dumps

_NAP: Final = 0.01
"""Seconds between two looks for room, where nothing tells of it."""


@dataclass(frozen=True, slots=True)
class Unsent:
    """A message as it would have been sent."""

    key: str
    """The list that it would have been put into."""
    text: str


_withheld: ContextVar[list[Unsent] | None] = ContextVar("withheld", default=None)
"""Not the channel's: whoever publishes may get another one on the way, after an outage."""


class QoS(redis.QoS):  # type: ignore[misc]  # kombu has no types
    """Notes what a worker has, and has done with, in pairs of commands that need be no transaction.

    They go to the broker together. One that dies between the two forgets a message at worst, which coordinators find.
    """

    @contextmanager
    def pipe_or_acquire(self, pipe: Any = None, client: Any = None) -> Iterator[Any]:
        """Lend the pipeline that is given, or one without MULTI and EXEC: a quarter of what these commands cost."""
        if pipe:
            yield pipe
            return
        with self.channel.conn_or_acquire(client) as connected:
            yield connected.pipeline(transaction=False)


class Channel(redis.Channel):  # type: ignore[misc]  # kombu has no types
    """Makes one client for each pool, and puts many messages into their lists at once."""

    QoS = QoS
    _kept_client: Any = None
    takes_copies: Final = True
    """Whether it can withhold and push: told from other channels without importing this module, which loads redis."""

    @contextmanager
    def withholding(self) -> Iterator[list[Unsent]]:
        """While the block runs, keep what it publishes to queues from the broker, in this list."""
        unsent: list[Unsent] = []
        token = _withheld.set(unsent)
        try:
            yield unsent
        finally:
            _withheld.reset(token)

    def push(self, texts: Mapping[str, Sequence[str]]) -> None:
        """Put messages into lists, by key, as ``_put`` does one by one; for queues that do not expire."""
        with self.conn_or_acquire() as client:
            if len(texts) == 1:
                ((key, values),) = texts.items()
                client.lpush(key, *values)
                return
            with client.pipeline(transaction=False) as pipeline:
                for key, values in texts.items():
                    pipeline.lpush(key, *values)
                pipeline.execute()

    def _put(self, queue: str, message: Any, **kwargs: Any) -> None:
        unsent = _withheld.get()
        if unsent is None:
            super()._put(queue, message, **kwargs)
        else:
            key = self._q_for_pri(queue, self._get_message_priority(message, reverse=False))
            unsent.append(Unsent(key, dumps(message)))

    def _create_client(self, asynchronous: bool = False) -> Any:
        """Return a client of the channel's pool; a new one when the pool was replaced."""
        if asynchronous:  # this one is subscribed and stateful: kombu keeps it itself
            return super()._create_client(asynchronous=True)
        if self._kept_client is not None and self.connection.client is None:
            # The broker went away and Celery has taken the connection apart. It then closes the channel, which gives
            # back what is not acknowledged: without a client that ends in an AttributeError and takes the whole
            # worker along (kombu 5.7). The old client says that the broker is away, which Celery understands.
            return self._kept_client
        if self._kept_client is None or self._kept_client.connection_pool is not self.pool:
            self._kept_client = super()._create_client()
        return self._kept_client


class Poller(redis.MultiChannelPoller):  # type: ignore[misc]  # kombu has no types
    """Takes the next message as soon as an acknowledgement makes room for it.

    Under gevent, Celery has no event loop that an acknowledgement could wake: with every greenlet busy, kombu's poller
    asks for no message and sleeps for the two seconds that Celery gives it, even if all are done in a millisecond.
    """

    def get(self, callback: Any, timeout: float | None = None) -> Any:
        """Wait for an event as kombu does, but in short naps while there is no room for a message."""
        end = monotonic() + (timeout or 0.0)
        while self._is_full() and (left := end - monotonic()) > 0 and not self.poller.poll(min(left, _NAP)):
            pass
        return super().get(callback, timeout=None if timeout is None else max(end - monotonic(), 0.0))

    def _is_full(self) -> bool:
        return any(channel.active_queues and not channel.qos.can_consume() for channel in self._channels)


class Transport(redis.Transport):  # type: ignore[misc]  # kombu has no types
    """kombu's Redis transport on our channel and poller."""

    Channel = Channel

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """Make a transport of one connection."""
        super().__init__(*args, **kwargs)
        self.cycle = Poller()

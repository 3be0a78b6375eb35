"""kombu's Redis transport, with the client kept from one command to the next.

kombu makes a new ``Redis`` object for every command it sends: one for each publish, receipt and acknowledgement. A
client is only a pool and a table of parsers, but filling that table costs about 80 microseconds, a seventh of what a
worker's main process spends on a message. Only apps of our own use this; an app given to ``install`` keeps its own.
"""

from time import monotonic
from typing import Any, Final

from kombu.transport import redis

_NAP: Final = 0.01
"""Seconds between two looks for room, where nothing tells of it."""


class Channel(redis.Channel):  # type: ignore[misc]  # kombu has no types
    """Makes one client for each pool."""

    _kept_client: Any = None

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

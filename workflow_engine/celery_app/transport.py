"""kombu's Redis transport, with the client kept from one command to the next, and no answer waited for in vain.

kombu makes a new ``Redis`` object for every command it sends: one for each publish, receipt and acknowledgement. A
client is only a pool and a table of parsers, but filling that table costs about 80 microseconds, a seventh of what a
worker's main process spends on a message. Only apps of our own use this; an app given to ``install`` keeps its own.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass
from time import monotonic, time
from typing import Any, Final

from kombu.transport import redis
from kombu.utils.json import dumps

from workflow_engine.celery_app.receipts import Receipts

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
    """Notes what a worker has, and has done with, in pairs of commands that need be no transaction and no answer.

    With MULTI and EXEC, and waiting for the broker each time, they were almost half of what a worker's main process did
    for a message.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """Note things for one channel."""
        super().__init__(*args, **kwargs)
        self._receipts = Receipts()

    def append(self, message: Any, delivery_tag: str) -> None:
        """Note that the worker has a message."""
        about = message.delivery_info
        raw = dumps([message._raw, about["exchange"], about["routing_key"]])  # noqa: SLF001  as kombu keeps it
        self._send(
            ("ZADD", self._key(self.unacked_index_key), time(), delivery_tag),
            ("HSET", self._key(self.unacked_key), delivery_tag, raw),
        )
        super(redis.QoS, self).append(message, delivery_tag)

    def ack(self, delivery_tag: str) -> None:
        """Note that the worker is done with a message, whose place another one can have, whatever the broker says."""
        try:
            self._send(
                ("ZREM", self._key(self.unacked_index_key), delivery_tag),
                ("HDEL", self._key(self.unacked_key), delivery_tag),
            )
        finally:
            super(redis.QoS, self).ack(delivery_tag)

    def reject(self, delivery_tag: str, requeue: bool = False) -> None:
        """Note that the worker does not want a message."""
        if requeue:
            super().reject(delivery_tag, requeue=True)
        else:
            self.ack(delivery_tag)

    def settle(self) -> None:
        """Come back when the broker knows all that was noted."""
        self._receipts.settle()

    def restore_by_tag(self, tag: str, client: Any = None, leftmost: bool = False) -> None:
        """Give a message back, which the broker must know of by then."""
        self.settle()
        super().restore_by_tag(tag, client=client, leftmost=leftmost)

    def _send(self, *commands: tuple[Any, ...]) -> None:
        self._receipts.send(self.channel.pool_at_hand, *commands)

    def _key(self, name: str) -> str:
        return f"{self.channel.global_keyprefix}{name}"


class Channel(redis.Channel):  # type: ignore[misc]  # kombu has no types
    """Makes one client for each pool, and puts many messages into their lists at once."""

    QoS = QoS
    _kept_client: Any = None
    takes_copies: Final = True
    """Whether it can withhold and push: told from other channels without importing this module, which loads redis."""

    def close(self) -> None:
        """Close it; what is noted is not lost with the connection."""
        if isinstance(self._qos, QoS):
            with suppress(*self.connection_errors):
                self._qos.settle()
        super().close()

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

    @property
    def pool_at_hand(self) -> Any:
        """Its connection pool, made if it must be; None where none can be made any more."""
        return None if self._is_taken_apart else self.pool

    @property
    def _is_taken_apart(self) -> bool:
        """Whether the broker went away and Celery has taken the connection apart, before it closes the channel."""
        return self.connection.client is None

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
        if self._kept_client is not None and self._is_taken_apart:
            # Celery then closes the channel, which gives back what is not acknowledged: without a client that ends in
            # an AttributeError and takes the whole worker along (kombu 5.7). The old client says that the broker is
            # away, which Celery understands.
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

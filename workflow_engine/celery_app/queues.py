"""Queues of RabbitMQ that are used as they are where they exist.

A queue there has priorities only if it was declared with ``x-max-priority``, and whoever declares an existing one with
other arguments is refused. Ours are made with priorities; one that somebody else has made, be it another app or an
operator, is taken as it is.
"""

from typing import Any, Final

from amqp.exceptions import NotFound
from celery.app.amqp import AMQP, Queues
from kombu import Queue

MAX_PRIORITY: Final = 9
"""The number of the most urgent steps; see ``dispatcher``."""


class StandingQueue(Queue):  # type: ignore[misc]  # kombu has no types
    """A queue whose arguments say how it is made, not how it must be."""

    def queue_declare(self, nowait: bool = False, passive: bool = False, channel: Any = None) -> Any:
        """Make the queue, unless it exists."""
        channel = channel or self.channel
        return super().queue_declare(nowait=nowait, passive=passive or self._exists(channel), channel=channel)

    def _exists(self, channel: Any) -> bool:
        probe = channel.connection.channel()  # of its own: RabbitMQ closes the one on which it says no
        try:
            probe.queue_declare(self.name, passive=True)
        except NotFound:
            return False
        probe.close()
        return True


class StandingQueues(Queues):  # type: ignore[misc]  # nor has Celery
    """Queues by name, each of which is used as it is where it exists."""

    def _add(self, queue: Queue) -> Queue:
        return super()._add(StandingQueue(**queue.as_dict()))


class StandingAMQP(AMQP):  # type: ignore[misc]
    """What an app of ours on RabbitMQ knows of queues."""

    queues_cls = StandingQueues

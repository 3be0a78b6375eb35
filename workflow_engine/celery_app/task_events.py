"""Celery's task events over RabbitMQ, sent without waiting for the broker to confirm each.

Our apps have ``confirm_publish``, for steps. Of events, which Flower shows, one may be lost. And whoever sends one
holds a lock that every task of the worker needs for its own: under gevent, where a confirmation was missed now and
then, the worker stood still.
"""

from typing import Any

from celery.app.events import Events
from celery.events.dispatcher import EventDispatcher


class UnconfirmedDispatcher(EventDispatcher):  # type: ignore[misc]  # Celery has no types
    """Sends events and goes on."""

    def enable(self) -> None:
        """Open the channel."""
        super().enable()
        channel: Any = self.producer.channel
        if hasattr(channel, "_basic_publish"):  # py-amqp's, on which ``basic_publish`` may be the one that waits
            channel.basic_publish = channel._basic_publish  # noqa: SLF001  it has no other switch for one channel


class UnconfirmedEvents(Events):  # type: ignore[misc]
    """What an app of ours on RabbitMQ knows of events."""

    dispatcher_cls = "workflow_engine.celery_app.task_events:UnconfirmedDispatcher"

"""Celery's task events over RabbitMQ: nobody waits for the broker to confirm one, or for it to say anything at all.

A worker has a connection for its events alone, and under gevent its main greenlet reads there too, for the broker's
heartbeats. Two things follow (Celery 5.7):

- Where events are confirmed, as all is that our apps send, it may read the confirmation that another greenlet waits
  for. That one then waits for ever, and holds the lock that every task of the worker needs for its own events. Of
  events, which Flower shows, one may be lost; so ours are not confirmed.
- It waits there for a tenth of a second after each message that it takes, so no step could start sooner than that.
"""

from typing import Any, ClassVar

from celery.app.events import Events
from celery.bootsteps import StartStopStep
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


class PromptReading(StartStopStep):  # type: ignore[misc]
    """A step of a worker's start, and of each new connection: who reads on that of its events takes what is there."""

    requires: ClassVar = {"celery.worker.consumer.events:Events"}

    def start(self, consumer: Any) -> None:
        """Have nobody wait on the connection; py-amqp itself and event loops do not read through this method."""
        connection = getattr(consumer.event_dispatcher, "connection", None)
        if connection is not None:
            connection.drain_events = lambda **_: connection.transport.drain_events(connection.connection, timeout=0)

"""Take the messages of steps out of the broker, and send copies of them, as brokers do when they are unsure."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from kombu import Connection, Queue

from tests.support.processes import Stage


@contextmanager
def channel(stage: Stage) -> Iterator[Any]:
    """Open a channel to the stage's broker."""
    with Connection(stage.broker_url) as connection:
        yield connection.default_channel


def take(stage: Stage) -> Any:
    """Take the next message of the stage's queue out of the broker."""
    with channel(stage) as opened:
        message = Queue(stage.settings.queue).bind(opened).get(no_ack=True)
        assert message is not None
        return message


def send(stage: Stage, message: Any, *, times: int = 1) -> None:
    """Send copies of a message, with the very same bytes and headers."""
    with Connection(stage.broker_url) as connection, connection.Producer() as producer:
        for _ in range(times):
            producer.publish(
                message.body,
                routing_key=stage.settings.queue,
                exchange="",
                content_type=message.content_type,
                content_encoding=message.content_encoding,
                headers=message.headers,
                correlation_id=message.properties["correlation_id"],
                priority=message.properties.get("priority"),
            )

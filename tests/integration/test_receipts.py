"""What a worker tells Redis of its messages: nobody waits for answers, and the broker knows all of it in the end."""

import os
import signal
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from kombu import Connection
from redis import Redis
from redis.exceptions import ResponseError

from tests.support.processes import wait_until
from workflow_engine.celery_app import receipts
from workflow_engine.embedded.broker import EmbeddedBroker

pytestmark = pytest.mark.redis

QUEUE = "receipts"
TRANSPORT = "workflow_engine.celery_app.transport:Transport"
MANY = 200
"""More than there may be answers that nobody has read."""


@pytest.fixture(scope="session")
def server(server_folder: Path) -> Iterator[EmbeddedBroker]:
    """A broker of which everything is ours, to be stopped at will."""
    with EmbeddedBroker(server_folder / "receipts", persistent=False) as broker:
        yield broker


@pytest.fixture
def broker(server: EmbeddedBroker) -> Iterator[Redis]:
    """The broker itself, empty."""
    with Redis.from_url(server.url, decode_responses=True) as client:
        client.flushdb()
        yield client
        client.flushdb()


@pytest.fixture
def open_channel(server: EmbeddedBroker, broker: Redis) -> Iterator[Callable[..., Any]]:
    """Open a worker's channel on the broker, with these options."""
    connections = []

    def opened(**options: Any) -> Any:
        connection = Connection(server.url, transport=TRANSPORT, transport_options=options)
        connections.append(connection)
        return connection.channel()

    yield opened
    for connection in connections:
        connection.release()


@pytest.fixture
def channel(open_channel: Callable[..., Any]) -> Any:
    return open_channel()


def taken(channel: Any, number: int = 1) -> list[Any]:
    """Put messages into a queue, and return them as the worker has them."""
    for each in range(number):
        channel.basic_publish(channel.prepare_message(f'"{each}"', content_type="application/json"), "", QUEUE)
    return [channel.basic_get(QUEUE) for _ in range(number)]


def noted(broker: Redis, prefix: str = "") -> tuple[int, int]:
    """Return of how many messages the broker knows that a worker has them, by both of its lists."""
    return broker.hlen(f"{prefix}unacked"), broker.zcard(f"{prefix}unacked_index")


def test_the_broker_knows_which_messages_a_worker_has_and_is_done_with(channel: Any, broker: Redis) -> None:
    messages = taken(channel, MANY)
    channel.qos.settle()
    assert noted(broker) == (MANY, MANY)
    assert {*broker.hkeys("unacked")} == {message.delivery_tag for message in messages}

    for message in messages:
        message.ack()
    channel.qos.settle()

    assert noted(broker) == (0, 0)
    assert broker.llen(QUEUE) == 0


def test_keys_have_the_prefix_that_is_asked_for(open_channel: Callable[..., Any], broker: Redis) -> None:
    channel = open_channel(global_keyprefix="mine-")
    first, _ = taken(channel, 2)

    first.ack()
    channel.qos.settle()

    assert noted(broker, "mine-") == (1, 1)
    assert noted(broker) == (0, 0)


def test_nobody_waits_for_a_broker_that_does_not_answer(channel: Any, broker: Redis, server: EmbeddedBroker) -> None:
    first, second = taken(channel, 2)
    assert server.pid is not None
    os.kill(server.pid, signal.SIGSTOP)
    with ThreadPoolExecutor(1) as thread:
        try:
            for message in (first, second):
                thread.submit(message.ack).result(timeout=20)
        finally:
            os.kill(server.pid, signal.SIGCONT)

    wait_until(lambda: noted(broker) == (0, 0), why="it knows once it goes on")


def test_a_message_that_is_given_back_is_there_once(channel: Any, broker: Redis) -> None:
    first, second = taken(channel, 2)

    first.requeue()
    second.reject()
    channel.qos.settle()

    assert noted(broker) == (0, 0)
    assert [channel.basic_get(QUEUE).body, channel.basic_get(QUEUE)] == [first.body, None]


def test_what_a_worker_still_has_is_given_back_when_it_closes(channel: Any, broker: Redis) -> None:
    messages = taken(channel, 3)
    messages[0].ack()

    channel.close()

    assert noted(broker) == (0, 0)
    assert broker.llen(QUEUE) == 2


def test_what_the_broker_refuses_is_said(channel: Any, broker: Redis) -> None:
    broker.set("unacked", "no hash")
    taken(channel)

    with pytest.raises(ResponseError, match="WRONGTYPE"):
        channel.qos.settle()

    broker.delete("unacked")
    taken(channel)
    channel.qos.settle()
    assert noted(broker)[0] == 1


def lose_connections(broker: Redis) -> None:
    """Let the broker close every connection but ours."""
    for client in broker.client_list():
        if int(client["id"]) != broker.client_id():
            broker.client_kill_filter(_id=client["id"])


def test_a_connection_that_was_closed_costs_nobody_a_place(channel: Any, broker: Redis) -> None:
    messages = taken(channel, 3)
    channel.qos.settle()
    channel.basic_qos(0, 3, False)
    lose_connections(broker)

    for message in messages:  # a socket may take a command before it finds that nobody reads it
        message.ack()

    assert channel.qos.can_consume()
    channel.qos.settle()
    assert noted(broker)[0] <= 1  # which comes again, and is nobody's to run


def test_a_connection_that_was_idle_is_not_trusted(
    channel: Any, broker: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = taken(channel, 2)
    lose_connections(broker)
    monkeypatch.setattr(receipts, "_IDLE", 0.0)

    first.ack()
    second.ack()
    channel.qos.settle()

    assert noted(broker) == (0, 0)


def test_a_message_is_dealt_with_though_the_connection_was_taken_apart(
    channel: Any, broker: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As Celery does once the broker has gone away, while the pool is still at work."""
    (message,) = taken(channel)
    channel.qos.settle()
    channel._disconnect_pools()
    with monkeypatch.context() as apart:
        apart.setattr(channel.connection, "client", None)

        message.ack()
        channel.qos.settle()

    assert noted(broker) == (0, 0)


def test_threads_share_a_channel(channel: Any, broker: Redis) -> None:
    messages = taken(channel, MANY)

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda message: message.ack(), messages))
    channel.qos.settle()

    assert noted(broker) == (0, 0)

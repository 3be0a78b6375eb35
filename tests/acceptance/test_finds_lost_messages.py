"""A message that is gone from a queue which is never empty is sent again; a long backlog is not."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Event, Thread

import pytest
import redis
from kombu import Connection

from tests.acceptance import flows
from tests.fixtures.stages import StageMaker
from tests.support.checker import check
from tests.support.processes import Stage, states, wait_until
from workflow_engine import RunHandle
from workflow_engine.embedded.broker import EmbeddedBroker

BACKLOG = 8
"""Runs that wait in the busy queue, at least."""


@contextmanager
def kept_busy(stage: Stage, depth: Callable[[], int]) -> Iterator[list[RunHandle]]:
    """Keep runs waiting in the queue for the length of a block."""
    stopping, runs = Event(), stage.client.submit_many(flows.unhurried, [None] * BACKLOG)

    def feed() -> None:
        while not stopping.is_set():
            if depth() < BACKLOG:
                runs.extend(stage.client.submit_many(flows.unhurried, [None] * BACKLOG))
            stopping.wait(0.02)

    thread = Thread(target=feed)
    thread.start()
    try:
        yield runs
    finally:
        stopping.set()
        thread.join(timeout=10)


def test_a_message_lost_from_a_busy_redis_queue_is_sent_again_while_others_flow(
    new_stage: StageMaker, own_broker: EmbeddedBroker
) -> None:
    with new_stage(broker=own_broker.url) as stage, redis.Redis.from_url(own_broker.url) as broker:

        def lists() -> list[bytes]:
            return [key for key in broker.keys(f"{stage.settings.queue}*") if broker.type(key) == b"list"]

        def depth() -> int:
            return sum(broker.llen(key) for key in lists())

        stage.start_coordinator()
        with kept_busy(stage, depth) as others:
            victim = stage.submit(flows.single, {"n": 7})
            ((key, message),) = [
                (key, message)
                for key in lists()
                for message in broker.lrange(key, 0, -1)
                if json.loads(message)["headers"]["root_id"] == victim.id
            ]
            assert broker.lrem(key, 1, message) == 1
            stage.start_worker("-c1")

            wait_until(lambda: states(victim)["only"] == "succeeded", why="it was sent again")

            assert depth() > 0, "the queue was never empty"
        assert stage.rows("SELECT count(*) FROM steps WHERE resends > 0")[0].count == 1
        assert victim.result == {"only": 7}
        wait_until(lambda: all(run.state == "succeeded" for run in others), why="the rest is done, too")
        check(stage)


@pytest.mark.slow
@pytest.mark.rabbitmq
def test_a_message_lost_from_a_busy_rabbitmq_queue_is_sent_again_while_others_flow(rabbitmq_stage: Stage) -> None:
    stage = rabbitmq_stage
    with Connection(stage.broker_url) as connection:
        channel, queue = connection.default_channel, stage.settings.queue

        def depth() -> int:
            return int(channel.queue_declare(queue, passive=True).message_count)

        stage.start_coordinator()
        victim = stage.submit(flows.single, {"n": 7})
        wait_until(lambda: depth() == 1)
        assert channel.basic_get(queue, no_ack=True) is not None
        with kept_busy(stage, depth) as others:
            stage.start_worker("-c1")

            wait_until(lambda: states(victim)["only"] == "succeeded", why="it was sent again")

            assert depth() > 0, "the queue was never empty"
        wait_until(lambda: all(run.state == "succeeded" for run in others), why="the rest is done, too")


@pytest.mark.slow
def test_a_backlog_of_two_thousand_steps_behind_a_slow_worker_is_never_sent_again(new_stage: StageMaker) -> None:
    with new_stage() as stage:
        for _ in range(2):
            stage.client.submit_many(flows.unhurried, [None] * 1_000)
        stage.start_coordinator()
        stage.start_worker("-c1")

        wait_until(lambda: len(stage.traced()) >= 60, why="several times the patience has passed")

        (row,) = stage.rows(
            "SELECT count(*) FILTER (WHERE resends > 0) AS resent, "
            "max(clock_timestamp() - dispatched_at) FILTER (WHERE state = 'dispatched') > interval '5 s' AS is_old "
            "FROM steps"
        )
        assert (row.resent, row.is_old) == (0, True)

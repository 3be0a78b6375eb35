"""What a message weighs, read from the broker's queue."""

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from threading import Event as Flag
from time import perf_counter
from typing import Any, Final

import redis

from benchmarks.configuration import Configuration
from benchmarks.servers import UnfairServer, drop_queues, is_redis, keys_of
from benchmarks.sides import CanvasSide, EngineSide
from benchmarks.trace import StepsMissing
from benchmarks.workflows import SIZES, UNSERVED, chain, wide
from workflow_engine.celery_app.messages import OTHERS

LIMIT: Final = 1_536
"""Bytes that a message may have, whatever the size of its run."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Weights:
    """Bytes of messages of runs of one size."""

    steps: int
    engine_smallest: int
    engine_largest: int
    canvas_chain: int
    """The first message of Celery's chain of as many tasks."""
    canvas_wide: int
    """The first message of Celery's chord of as many tasks."""

    def as_json(self) -> dict[str, int]:
        """Return it as JSON values."""
        return asdict(self)


class Scales:
    """Weighs what is sent to a queue that nobody reads."""

    def __init__(self, configuration: Configuration, engine: EngineSide, canvas: CanvasSide) -> None:
        """Weigh both sides' messages.

        Raises:
            UnfairServer: the broker is no Redis, whose queues can be looked into.
        """
        if not is_redis(configuration.broker_url):
            raise UnfairServer(
                "messages are weighed in a Redis: leave WFE_BROKER_URL out, or --only what else you want"
            )
        self._broker = redis.Redis.from_url(configuration.broker_url)
        self._engine = engine
        self._canvas = canvas

    def weigh_all(self) -> list[Weights]:
        """Weigh messages of runs of each size."""
        with self._broker:
            return [self._weigh(size) for size in SIZES]

    def _weigh(self, size: int) -> Weights:
        client = self._engine.client
        parts = self._sent(lambda: client.submit(wide(size - 2, UNSERVED), 0), size - 2)
        root = self._sent(lambda: client.submit(chain(size, UNSERVED), 0), 1)
        canvas = self._canvas.canvas
        return Weights(
            steps=size,
            engine_smallest=min(*parts, *root),
            engine_largest=max(*parts, *root),
            canvas_chain=self._sent(lambda: canvas.chain(0, size).apply_async(queue=UNSERVED), 1)[0],
            canvas_wide=self._sent(lambda: canvas.wide(0, size - 2).apply_async(queue=UNSERVED), 1)[0],
        )

    def _sent(self, action: Callable[[], Any], number: int) -> list[int]:
        """Return the bytes of each message that ``action`` leads to; they are for so many steps or tasks."""
        drop_queues(self._broker, UNSERVED)
        action()
        deadline = perf_counter() + 60
        while (arrived := sum(map(_steps_of, messages := self._queued()))) < number:
            if perf_counter() > deadline:
                raise StepsMissing(f"messages for {arrived} of {number} steps were sent")
            Flag().wait(0.02)
        drop_queues(self._broker, UNSERVED)
        return [len(message) for message in messages]

    def _queued(self) -> list[bytes]:
        return [message for key in keys_of(self._broker, UNSERVED) for message in self._broker.lrange(key, 0, -1)]


def _steps_of(message: bytes) -> int:
    """Return how many steps a message is for: short siblings may share one."""
    return 1 + len(json.loads(message)["headers"].get(OTHERS) or ())

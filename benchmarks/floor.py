"""The floor: what Celery alone and PostgreSQL alone can do here, per second."""

from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from time import perf_counter
from typing import Any, Final

import psycopg

from benchmarks.configuration import Configuration
from benchmarks.sides import CanvasSide
from benchmarks.trace import record

_SECONDS: Final = 1.0
_TASKS: Final = 2_000


def tasks_per_second(side: CanvasSide, *, timeout: float = 60.0) -> float:
    """Return how many no-op tasks Celery runs a second, with no result kept."""
    side.trace.clear()
    noop = side.canvas.noop
    begin = perf_counter()
    for number in range(_TASKS):
        noop.apply_async((record(0, number),), ignore_result=True)
    return _TASKS / (side.trace.wait(_TASKS, timeout) - begin)


def commits_per_second(configuration: Configuration, connections: int) -> float:
    """Return how many durable commits of one small insert PostgreSQL takes a second."""
    with ExitStack() as stack:
        lent = [
            stack.enter_context(psycopg.connect(configuration.database_url, autocommit=True))
            for _ in range(connections)
        ]
        lent[0].execute("CREATE TABLE IF NOT EXISTS benchmark_floor (value integer)")
        with ThreadPoolExecutor(connections) as threads:
            return sum(threads.map(_commit, lent)) / _SECONDS


def _commit(connection: psycopg.Connection[Any]) -> int:
    end = perf_counter() + _SECONDS
    commits = 0
    while perf_counter() < end:
        connection.execute("INSERT INTO benchmark_floor VALUES (1)", prepare=True)
        commits += 1
    return commits

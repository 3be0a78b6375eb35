"""Faults of every kind, in random order, while many runs of many shapes are in flight: the checker finds nothing."""

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import suppress
from random import Random

import pytest
import redis

from tests.acceptance import flows
from tests.fixtures.stages import StageMaker
from tests.support.checker import check
from tests.support.processes import Stage, answering, wait_for_all, wait_until
from workflow_engine import DatabaseUnavailable, RunHandle
from workflow_engine.embedded.broker import EmbeddedBroker
from workflow_engine.embedded.postgres import EmbeddedPostgres


class Storm:
    """A stage and what may happen to it."""

    def __init__(self, stage: Stage, broker: EmbeddedBroker, database: EmbeddedPostgres, random: Random) -> None:
        self.stage = stage
        self._broker = broker
        self._database = database
        self._random = random
        self.faults: list[Callable[[], None]] = [
            self.kill_a_child,
            self.kill_a_host,
            self.flush_the_broker,
            self.restart_the_broker,
            self.restart_the_database,
            self.deliver_twice,
        ]

    def kill_a_child(self) -> None:
        """Kill the process that ran a handler last."""
        with suppress(ProcessLookupError, IndexError):
            os.kill(self.stage.traced()[-1].pid, signal.SIGKILL)

    def kill_a_host(self) -> None:
        """Kill a worker with its pool and start another one."""
        self._random.choice([worker for worker in self.stage.workers if worker.is_alive()]).kill()
        self.stage.start_worker("-c2", ready=False)

    def flush_the_broker(self) -> None:
        """Make the broker forget everything."""
        with redis.Redis.from_url(self._broker.url) as client:
            client.flushall()

    def restart_the_broker(self) -> None:
        """Stop the broker, which keeps nothing, and start it again."""
        self._broker.stop()
        self._broker.start()

    def restart_the_database(self) -> None:
        """Stop the database and start it again."""
        self._database.stop()
        self._database.start()

    def deliver_twice(self) -> None:
        """Put every message that waits in the broker there once more."""
        with redis.Redis.from_url(self._broker.url) as client:
            for key in client.scan_iter(f"{self.stage.settings.queue}*"):
                for message in client.lrange(key, 0, 20):
                    client.lpush(key, message)


def submit_a_mix(stage: Stage, number: int) -> list[RunHandle]:
    """Submit runs that all must succeed, whatever happens."""
    runs = stage.client.submit_many(flows.paced, [None] * number)
    runs += stage.client.submit_many(flows.diamond, [{"n": each} for each in range(number)])
    runs += stage.client.submit_many(flows.lattice, [None] * number)
    runs += stage.client.submit_many(flows.flaky, [{"failures": 1}] * number)
    return runs


def weather(storm: Storm, runs: list[RunHandle], faults: list[Callable[[], None]]) -> None:
    """Let the faults happen one after the other, each after some progress; the runs must not mind."""
    stage = storm.stage
    in_flight = 0
    for fault in faults:
        before = len(stage.traced())
        wait_until(lambda before=before: len(stage.traced()) > before + 5 or are_over(runs), within=60, why=str(fault))
        in_flight += not are_over(runs)
        fault()
    assert in_flight >= len(faults) / 2, "the faults came too late to disturb anything"
    assert set(wait_for_all(answering(runs), within=90)) == {"succeeded"}
    check(stage)


def are_over(runs: list[RunHandle]) -> bool:
    """Tell whether nothing is left to disturb; not while the database is away."""
    with suppress(DatabaseUnavailable):
        return all(run.state == "succeeded" for run in (runs[0], runs[len(runs) // 2], runs[-1]))
    return False


@pytest.fixture
def make_storm(
    new_stage: StageMaker, own_broker: EmbeddedBroker, own_database: EmbeddedPostgres
) -> Iterator[Callable[[int], Storm]]:
    """Make a stage with two workers and a coordinator, on servers of its own."""
    with new_stage(broker=own_broker.url, database=own_database.url, loss_limit=50) as stage:
        stage.start_coordinator()
        stage.start_worker("-c2", ready=False)
        stage.start_worker("-c2")
        yield lambda seed: Storm(stage, own_broker, own_database, Random(seed))


def test_every_kind_of_fault_once_loses_and_doubles_nothing(make_storm: Callable[[int], Storm]) -> None:
    storm = make_storm(17)
    runs = submit_a_mix(storm.stage, 10)

    weather(storm, runs, storm.faults)


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("seed", range(4))
def test_thirty_random_faults_lose_and_double_nothing(make_storm: Callable[[int], Storm], seed: int) -> None:
    storm = make_storm(seed)
    runs = submit_a_mix(storm.stage, 60)

    weather(storm, runs, Random(seed).choices(storm.faults, k=30))

"""The subscribers of relay processes under test, and writers that fill the event log as many processes do.

python -m tests.acceptance.relay_log DATABASE_URL SEED TRANSACTIONS
"""

import json
import os
import sys
from pathlib import Path
from random import Random
from threading import Event as Flag
from uuid import UUID

import psycopg

from workflow_engine.model.records import EventRecord
from workflow_engine.relay.subscriber import Subscriber

_MOST_RUNS_AT_ONCE = 6


class Tracer(Subscriber):
    """Leaves a line for each event: its place and its run."""

    name = "tracer"
    subscribe_to = ("*",)
    start = "beginning"
    batch_size = 200

    def opened(self) -> None:
        """Append to one file, whatever process delivers; one write is one line."""
        path = Path(os.environ["RELAY_FOLDER"]) / "trace"
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)

    def on_event(self, event: EventRecord) -> None:
        """Leave the line."""
        number = event.data.get("steps", 0)
        os.write(self._file, f"{os.getpid()} {event.position} {event.run_id} {number}\n".encode())


class Slow(Tracer):
    """The same, but it takes its time."""

    name = "slow"

    def on_event(self, event: EventRecord) -> None:
        """Leave the line, later."""
        super().on_event(event)
        Flag().wait(0.01)


def write(database_url: str, seed: int, transactions: int) -> int:
    """Commit events of several runs in transactions of various lengths; roll some back. Return how many remain."""
    random, committed = Random(seed), 0
    numbers: dict[UUID, int] = {}
    with psycopg.connect(database_url, autocommit=True) as connection:
        for _ in range(transactions):
            runs = _some_runs(random, numbers)
            is_kept = random.random() > 0.1
            written: dict[UUID, int] = {}
            with connection.transaction(force_rollback=not is_kept):
                for _ in range(random.randint(1, 8)):
                    run = random.choice(runs)
                    written[run] = written.get(run, numbers.get(run, 0)) + 1
                    _append(connection, run, written[run])
                    if random.random() < 0.02:
                        Flag().wait(random.uniform(0, 0.03))
            if is_kept:
                committed += sum(number - numbers.get(run, 0) for run, number in written.items())
                numbers.update(written)
    return committed


def _some_runs(random: Random, known: dict[UUID, int]) -> list[UUID]:
    fresh = [UUID(int=random.getrandbits(128)) for _ in range(random.randint(0, 2))]
    old = random.sample(sorted(known), min(len(known), _MOST_RUNS_AT_ONCE))
    return fresh + old or [UUID(int=random.getrandbits(128))]


def _append(connection: psycopg.Connection[tuple[object, ...]], run: UUID, number: int) -> None:
    connection.execute(
        "INSERT INTO events (run_id, namespace, name, data) VALUES (%s, 'default', 'run.started', %s)",
        [run, json.dumps({"steps": number})],
    )


if __name__ == "__main__":
    print(write(sys.argv[1], int(sys.argv[2]), int(sys.argv[3])))

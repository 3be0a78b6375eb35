"""How many events a second a relay delivers, and how long after the completion of a step its subscriber is called.

The relay is a process of its own, and the subscriber does nothing but note the time.
"""

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import quantiles
from threading import Event as Flag
from time import monotonic
from typing import Any, Final

import psycopg

from benchmarks.configuration import Configuration
from benchmarks.relay_subscriber import Counter, Stopwatch
from benchmarks.session import CHAIN, DIAMONDS, Session
from benchmarks.sides import Work

EVENTS: Final = 50_000
SINGLES, CHAINS = 50, 5
PATIENCE: Final = 120.0
_ROOT: Final = Path(__file__).parents[1]
_INSERT: Final = (
    "INSERT INTO events (run_id, namespace, correlation_id, name, step, attempt, data) "
    "SELECT md5((number / 8)::text)::uuid, 'default', 'bench', 'step.completed', 'charge', 1, "
    '\'{"seconds": 0.1, "started_at": "2026-01-01T00:00:00Z", "dispatched_at": "2026-01-01T00:00:00Z"}\' '
    "FROM generate_series(1, %s) AS number RETURNING id"
)


class RelayTooSlow(Exception):
    """It did not deliver in time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Latency:
    """Milliseconds from the completion of a step to the call."""

    load: str
    steps: int
    p50: float
    p99: float
    longest: float

    def as_json(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return asdict(self)


def deliveries_per_second(configuration: Configuration, folder: Path) -> float:
    """Return how many events a second reach a subscriber that does nothing, from a log that is full."""
    (folder / Counter.name).unlink(missing_ok=True)
    with psycopg.connect(configuration.database_url, autocommit=True) as connection:
        _forget(connection)
        connection.execute(_INSERT, [EVENTS])
    with _relay(configuration, folder, Counter.__name__):
        notes = _wait_for(folder / Counter.name, lambda rows: bool(rows) and max(rows) >= EVENTS)
    return (EVENTS - 1) / (notes[max(notes)] - notes[1])


def latencies(session: Session, configuration: Configuration, folder: Path) -> list[Latency]:
    """Return how long after its completion a step's subscriber is called, for three loads of the engine."""
    engine = session.engine
    loads = {
        "single diamonds": [engine.diamonds(1) for _ in range(SINGLES)],
        "chains of 100": [engine.chain(CHAIN) for _ in range(CHAINS)],
        f"{DIAMONDS} diamonds at once": [engine.diamonds(DIAMONDS)],
    }
    return [_latency(load, works, session, configuration, folder) for load, works in loads.items()]


def _latency(load: str, works: Sequence[Work], session: Session, configuration: Configuration, folder: Path) -> Latency:
    file = folder / Stopwatch.name
    file.unlink(missing_ok=True)
    steps = sum(len(work.expected) for work in works)
    with psycopg.connect(configuration.database_url, autocommit=True) as connection:
        connection.execute("TRUNCATE cursors, relays, deliveries")
        with _relay(configuration, folder, Stopwatch.__name__):
            _wait_until_held(connection)
            for work in works:
                session.engine.run(work)
            notes = _wait_for(file, lambda rows: len(rows) == steps)
    delays = [1_000 * seconds for seconds in notes.values()]
    cuts = quantiles(delays, n=100)
    return Latency(load=load, steps=steps, p50=cuts[49], p99=cuts[98], longest=max(delays))


def _wait_until_held(connection: psycopg.Connection[Any]) -> None:
    deadline = monotonic() + PATIENCE
    while monotonic() < deadline:
        if connection.execute("SELECT FROM cursors WHERE owner IS NOT NULL").fetchone() is not None:
            return
        Flag().wait(0.05)
    raise RelayTooSlow(f"it has not started within {PATIENCE:g} s")


def _forget(connection: psycopg.Connection[Any]) -> None:
    connection.execute("TRUNCATE events, cursors, relays, deliveries")


@contextmanager
def _relay(configuration: Configuration, folder: Path, subscriber: str) -> Iterator[None]:
    only_ours = folder / "subscribers.yaml"
    only_ours.write_text("subscribers: {audit: {enabled: false}}\n")
    variables = {
        "WFE_SUBSCRIBERS_FILE": str(only_ours),
        "WFE_DATABASE_URL": configuration.database_url,
        "WFE_BROKER_URL": configuration.broker_url,
        "WFE_SUBSCRIBERS": f"benchmarks.relay_subscriber:{subscriber}",
        "BENCH_FOLDER": str(folder),
    }
    with (folder / "relay.log").open("a") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "workers.relay"], cwd=_ROOT, env={**os.environ, **variables}, stderr=log
        )
    try:
        yield
    finally:
        process.terminate()
        process.wait(15)


def _wait_for(file: Path, enough: Any) -> Mapping[int, float]:
    deadline = monotonic() + PATIENCE
    while monotonic() < deadline:
        lines = file.read_text().splitlines() if file.exists() else []
        notes = {int(line.split()[0]): float(line.split()[1]) for line in lines if line.count(" ") == 1}
        if enough(notes):
            return notes
        Flag().wait(0.2)
    raise RelayTooSlow(f"not within {PATIENCE:g} s; see {file.parent / 'relay.log'}")

"""Live streams of events: how soon events reach thousands of clients of one process, and what a client costs.

One process of the API, as it is served; each client, in another process, watches a run of its own, so each event is
for one client: 500 events a second, written one by one, and each noted with the time before its insert. Measured three
times: as it is; beside clients that watch everything and read nothing; while every client is cut once and comes back.
"""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import timedelta
from pathlib import Path
from random import Random
from statistics import quantiles
from threading import Event as Flag
from threading import Thread
from time import monotonic, time
from typing import Any, Final

import psycopg

from benchmarks.configuration import Configuration
from workflow_engine import Client, Settings, Workflow
from workflow_engine.engine.event_bell import EventBell
from workflow_engine.store.database import Database

CLIENTS: Final = 2_000
STALLED: Final = 20
RATE: Final = 500
SECONDS: Final = 10.0
PATIENCE: Final = 120.0
_ROOT: Final = Path(__file__).parents[1]
_BATCH: Final = 1_000
_INSERT: Final = (
    "INSERT INTO events (run_id, namespace, correlation_id, name, step, attempt, data) "
    "VALUES (%s, 'default', 'bench', 'step.completed', 'charge', 1, "
    "jsonb_build_object('seconds', 0.1, 'sent', %s::float8)) RETURNING id"
)


class StreamsTooSlow(Exception):
    """Something did not happen in time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivered:
    """What reached the clients in one phase; milliseconds from the time before an event's insert."""

    phase: str
    written: int
    per_second: float
    missing: int
    twice: int
    p50: float
    p99: float
    longest: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Streamed:
    """What streams cost and how quick they are."""

    clients: int
    kilobytes_a_client: float
    phases: Sequence[Delivered]

    def as_json(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return asdict(self)


class _Crowd:
    """The process of the clients."""

    def __init__(self, url: str, runs: Sequence[str]) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.sse_clients", url],
            cwd=_ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.tell(json.dumps(runs))

    def tell(self, line: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()

    def ask(self, line: str) -> Any:
        self.tell(line)
        return self.answer()

    def answer(self) -> Any:
        assert self._process.stdout is not None
        return json.loads(self._process.stdout.readline())

    def close(self) -> None:
        self._process.kill()
        self._process.wait()


def streams(
    configuration: Configuration, folder: Path, *, clients: int = CLIENTS, seconds: float = SECONDS
) -> Streamed:
    """Return how streams did."""
    runs = _runs(configuration, clients)
    with _api(configuration, folder) as (url, pid):
        crowd = _Crowd(url, runs)
        try:
            before = _resident(pid)
            crowd.ask("connect")
            each = (_resident(pid) - before) / clients
            phases = [_phase("as it is", configuration, crowd, runs, seconds)]
            crowd.ask(f"stall {STALLED}")
            title = f"beside {STALLED} that do not read"
            phases.append(_phase(title, configuration, crowd, runs, seconds))
            phases.append(_phase("each cut once, and back", configuration, crowd, runs, seconds, cut=True))
        finally:
            crowd.close()
    return Streamed(clients=clients, kilobytes_a_client=each, phases=phases)


def _phase(
    name: str, configuration: Configuration, crowd: _Crowd, runs: Sequence[str], seconds: float, *, cut: bool = False
) -> Delivered:
    written: list[tuple[int, int]] = []
    began = monotonic()
    writer = Thread(target=_write, args=[configuration, runs, seconds, written])
    writer.start()
    if cut:
        crowd.ask("cut")
    writer.join()
    rate = len(written) / (monotonic() - began)
    latencies, got = list[float](), [list[int]() for _ in runs]
    deadline = monotonic() + PATIENCE
    while sum(map(len, got)) < len(written) and monotonic() < deadline:
        Flag().wait(0.5)
        report = crowd.ask("report")
        latencies += report["latencies"]
        for known, new in zip(got, report["positions"], strict=True):
            known.extend(new)
    wanted = [[place for run, place in written if run == number] for number in range(len(runs))]
    cuts = quantiles([1_000 * each for each in latencies], n=100)
    return Delivered(
        phase=name,
        written=len(written),
        per_second=rate,
        missing=sum(len(set(each) - set(known)) for each, known in zip(wanted, got, strict=True)),
        twice=sum(len(known) - len(set(known)) for known in got),
        p50=cuts[49],
        p99=cuts[98],
        longest=1_000 * max(latencies),
    )


def _write(configuration: Configuration, runs: Sequence[str], seconds: float, written: list[tuple[int, int]]) -> None:
    """Append events at an even rate, each in a transaction of its own, and ring as the engine does."""
    chance = Random(4711)
    database = Database(configuration.database_url)
    bell = EventBell(database, every=timedelta(seconds=Settings.model_fields["event_notify_seconds"].default))
    with psycopg.connect(configuration.database_url, autocommit=True) as connection:
        connection.execute("SET synchronous_commit = off")  # the disk is not what is measured
        began = monotonic()
        for number in range(int(seconds * RATE)):
            wait = began + number / RATE - monotonic()
            if wait > 0:
                Flag().wait(wait)
            run = chance.randrange(len(runs))
            row = connection.execute(_INSERT, [runs[run], time()]).fetchone()
            bell.ring()
            written.append((run, row[0] if row else 0))
    bell.close()
    database.close()


def _runs(configuration: Configuration, number: int) -> list[str]:
    workflow = Workflow("watched")
    workflow.step(name="charge")(lambda ctx: None)
    settings = Settings(
        database_url=configuration.database_url, broker_url=configuration.broker_url, queue="nobody-takes-these"
    )
    with Client(settings) as client:
        made = [
            client.submit_many(workflow, [None] * min(_BATCH, number - start)) for start in range(0, number, _BATCH)
        ]
    return [run.id for batch in made for run in batch]


@contextmanager
def _api(configuration: Configuration, folder: Path) -> Iterator[tuple[str, int]]:
    """Serve the API; lend its address and process id."""
    variables = {
        "WFE_DATABASE_URL": configuration.database_url,
        "WFE_BROKER_URL": configuration.broker_url,
        "WFE_API_AUTH": "off",
        "WFE_API_PORT": "0",
        "WFE_API_RATE_PER_SECOND": "0",
        "PYTHONUNBUFFERED": "1",
    }
    log = folder / "api.log"
    with log.open("w") as file:
        process = subprocess.Popen(
            [sys.executable, "-m", "workers.api"],
            cwd=_ROOT,
            env={**os.environ, **variables},
            stdout=file,
            stderr=subprocess.STDOUT,
        )
    try:
        yield _address(log), process.pid
    finally:
        process.terminate()
        process.wait(30)


def _address(log: Path) -> str:
    deadline = monotonic() + PATIENCE
    while monotonic() < deadline:
        if found := re.search(r"listening on (\S+)", log.read_text()):
            return found[1]
        Flag().wait(0.1)
    raise StreamsTooSlow(f"the API does not listen: {log.read_text()[-2000:]}")


def _resident(pid: int) -> float:
    """Return the kilobytes of a process that are in memory."""
    found = re.search(r"VmRSS:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    return float(found[1]) if found else 0.0

"""How many runs a second one process of the API takes, each in a durable commit of its own, and how soon it answers.

The clients are a process of their own; API, PostgreSQL, the broker and they share the machine.
"""

import json
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

from benchmarks.configuration import Configuration
from benchmarks.cpu import Meter, difference
from benchmarks.http_load import WARM_UP
from benchmarks.servers import Servers
from benchmarks.workflows import UNSERVED
from workflow_engine.embedded.ports import LOOPBACK, free_port

CLIENTS: Final = 16
SECONDS: Final = 10.0
HALF: Final = 250.0
"""Requests a second at which latency is told: half of what is asked for."""
BATCHES: Final = 1
PARTS: Final = ("api", "postgres", "valkey", "clients")
_PATIENCE: Final = 60.0
_ROOT: Final = Path(__file__).parents[1]
_DIAMOND: Final = f"/v1/workflows/diamond_4_in_{UNSERVED}/runs"


class ApiTooSlow(Exception):
    """It did not answer in time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answers:
    """What clients saw."""

    load: str
    requests_per_second: float
    runs_per_second: float
    p50: float
    """Milliseconds, as the next ones."""
    p99: float
    longest: float
    processor: Mapping[str, float]
    """Milliseconds a run, by process."""
    others: float
    """Share of the machine that was somebody else's."""

    def as_json(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return asdict(self)


def answers(servers: Servers, rounds: int) -> Iterator[Answers]:
    """Yield what clients saw: as fast as it goes, at half of what is asked for, and in batches."""
    one = json.dumps({"input": 17})
    batch = json.dumps({"runs": [{"workflow": f"diamond_4_in_{UNSERVED}", "input": 17}] * 1_000})
    with _api(servers.configuration, servers.folder) as (port, pid):
        meter = Meter({**servers.processes, "api": pid})
        for _ in range(rounds):
            yield _ask(port, meter, f"{CLIENTS} clients", _DIAMOND, one)
            yield _ask(port, meter, f"{HALF:g}/s", _DIAMOND, one, rate=HALF)
            yield _ask(port, meter, "batches of 1,000", "/v1/runs/batch", batch, clients=BATCHES, runs=1_000)


def _ask(
    port: int,
    meter: Meter,
    load: str,
    path: str,
    body: str,
    *,
    clients: int = CLIENTS,
    rate: float = 0.0,
    runs: int = 1,
) -> Answers:
    arguments = {
        "host": LOOPBACK,
        "port": port,
        "path": path,
        "body": body,
        "clients": clients,
        "rate": rate,
        "seconds": SECONDS,
    }
    before, began = _used(meter), monotonic()
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.http_load", json.dumps(arguments)],
        cwd=_ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    used, seconds = difference(_used(meter), before), monotonic() - began
    took: Sequence[float] = json.loads(done.stdout)
    cuts = [1_000 * each for each in quantiles(took, n=100)]
    per_second = len(took) / SECONDS
    made = per_second * runs * (SECONDS + WARM_UP)
    return Answers(
        load=load,
        requests_per_second=per_second,
        runs_per_second=per_second * runs,
        p50=cuts[49],
        p99=cuts[98],
        longest=1_000 * max(took),
        processor={name: 1_000 * used[name] / made for name in PARTS if name in used},
        others=used.get("others", 0.0) / (seconds * (os.cpu_count() or 1)),
    )


def _used(meter: Meter) -> dict[str, float]:
    """Return the seconds that each part has used; the clients are children of ours that have ended."""
    used, own = meter.read(), os.times()
    clients = own.children_user + own.children_system
    return {**used, "clients": clients, "others": used.get("others", 0.0) - clients}


@contextmanager
def _api(configuration: Configuration, folder: Path) -> Iterator[tuple[int, int]]:
    port, ready = free_port(), folder / "api.ready"
    variables = {
        "WFE_DATABASE_URL": configuration.database_url,
        "WFE_BROKER_URL": configuration.broker_url,
        "WFE_WORKFLOWS": "benchmarks.registered",
        "WFE_API_RATE_PER_SECOND": "0",
    }
    argv = [sys.executable, "-m", "workflow_engine.cli.main", "api", "--no-auth"]
    with (folder / "api.log").open("a") as log:
        process = subprocess.Popen(
            [*argv, "--port", str(port), "--ready-file", str(ready)],
            cwd=_ROOT,
            env={**os.environ, **variables},
            stdout=log,
            stderr=log,
        )
    try:
        deadline = monotonic() + _PATIENCE
        while not ready.exists():
            if monotonic() > deadline or process.poll() is not None:
                raise ApiTooSlow(f"it has not started; see {folder / 'api.log'}")
            Flag().wait(0.05)
        yield port, process.pid
    finally:
        process.terminate()
        process.wait(30)

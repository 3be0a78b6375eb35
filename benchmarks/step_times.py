"""Where the processor time of a step goes, by part and inside the worker, and what waiting for the disk adds to it."""

import subprocess
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import fmean, median
from time import perf_counter
from typing import Any, Final

import psycopg

from benchmarks.configuration import ENGINE_QUEUE
from benchmarks.cpu import Meter
from benchmarks.sampling import PARTS, SAMPLES, marks, shares
from benchmarks.servers import Servers
from benchmarks.sides import EngineSide, Work
from benchmarks.workers import Worker
from workflow_engine.embedded.binaries import postgres_binaries

WAYS: Final[Mapping[str, Mapping[str, str]]] = {"going on in place": {}, "every step sent": {"WFE_KEPT_STEPS": "0"}}
ROLES: Final = {"main": "worker", "pool": "pool"}
"""Of a worker's processes, and what a meter calls them."""
SLOW_DISKS: Final = (1.0, 5.0)
"""Milliseconds of a flush."""
_FEW: Final = 20
_COMMITS: Final = 1_000
_BATCHES: Final = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class StepTimes:
    """What a step of one shape takes, one way of going on."""

    way: str
    shape: str
    steps: int
    elapsed: float
    """Milliseconds a step, by the clock; the median of the repetitions."""
    others: float
    """The share of the machine that other programs took."""
    processor: Mapping[str, float]
    """Milliseconds a step, of each part."""
    inside: Mapping[str, Mapping[str, float]]
    """Of the worker's main process and of its pool: milliseconds a step, by what they went to."""
    samples: Mapping[str, int]

    def as_json(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return asdict(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class Disk:
    """What waiting for the disk costs a commit, in milliseconds."""

    durable: float
    """A commit of one small insert."""
    not_durable: float
    """The same without ``synchronous_commit``."""
    flush: float | None
    """One flush of 8 kB, by ``pg_test_fsync``, if it is there."""

    @property
    def waiting(self) -> float:
        """What a durable commit waits."""
        return max(0.0, self.durable - self.not_durable)

    def with_flush(self, step: float, milliseconds: float) -> float:
        """Return what a step of a chain would take, by the clock, if a flush took so long."""
        return step - self.waiting + milliseconds

    def as_json(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return asdict(self)


def step_times(servers: Servers, rounds: int) -> Iterator[StepTimes]:
    """Yield what a step takes, for each shape and each way of going on; chains run ten times as often as is asked."""
    for way, variables in WAYS.items():
        folder = servers.folder / f"samples-{len(variables)}"
        folder.mkdir()
        with _profiled(servers, folder, variables) as (engine, worker):
            shapes = {
                "chain of 100": (lambda: engine.chain(100), 10),
                "500 diamonds": (lambda: engine.diamonds(500), 1),
                "1 -> 1000 -> 1": (lambda: engine.wide(1_000), 1),
            }
            for prepare, _ in shapes.values():
                engine.run(prepare())
            for shape, (prepare, times) in shapes.items():
                works = [prepare() for _ in range(times * rounds)]
                yield _measure(engine, worker, folder, way, shape, works)


def disk(servers: Servers) -> Disk:
    """Return what the disk costs here; durable commits and others take turns."""
    durable, quick = [], []
    with psycopg.connect(servers.configuration.database_url, autocommit=True) as connection:
        connection.execute("CREATE TABLE IF NOT EXISTS benchmark_disk (value integer)")
        for _ in range(_BATCHES):
            for found, setting in ((durable, "on"), (quick, "off")):
                connection.execute(f"SET synchronous_commit = {setting}")
                begin = perf_counter()
                for _ in range(_COMMITS // _BATCHES):
                    connection.execute("INSERT INTO benchmark_disk VALUES (1)", prepare=True)
                found.append(1_000 * (perf_counter() - begin) / (_COMMITS // _BATCHES))
        connection.execute("DROP TABLE benchmark_disk")
    return Disk(durable=median(durable), not_durable=median(quick), flush=_flush(servers.folder))


def _measure(engine: EngineSide, worker: Worker, folder: Path, way: str, shape: str, works: list[Work]) -> StepTimes:
    steps = sum(len(work.expected) for work in works)
    before = marks(folder)
    timings = [engine.run(work) for work in works]
    after = marks(folder)
    used = {
        part: 1_000 * sum(timing.cpu.get(part, 0.0) for timing in timings) / steps
        for part in timings[0].cpu
        if part != "others"
    }
    sampled = {role: shares(folder, role, [before], [after]) for role in ROLES}
    return StepTimes(
        way=way,
        shape=shape,
        steps=steps,
        elapsed=median(
            1_000 * timing.finished / len(work.expected) for timing, work in zip(timings, works, strict=True)
        ),
        others=fmean(timing.others for timing in timings),
        processor=used,
        inside={role: _spread(used.get(part, 0.0), sampled[role]) for role, part in ROLES.items()},
        samples={role: found.total() for role, found in sampled.items()},
    )


def _spread(milliseconds: float, samples: Counter[str]) -> dict[str, float]:
    """Return what each part took of so many milliseconds, the largest first."""
    whole = samples.total() or 1
    return {PARTS[letter]: milliseconds * number / whole for letter, number in samples.most_common()}


@contextmanager
def _profiled(servers: Servers, folder: Path, variables: Mapping[str, str]) -> Iterator[tuple[EngineSide, Worker]]:
    """Lend a worker that samples itself, and a side to submit to it; both are warm."""
    environment = {**variables, SAMPLES: str(folder)}
    with ExitStack() as stack:
        configuration = servers.configuration
        worker = stack.enter_context(
            Worker("profiled_worker", ENGINE_QUEUE, configuration, servers.folder, variables=environment)
        )
        engine = EngineSide(configuration, worker.trace, Meter({**servers.processes, "worker": worker.pid}))
        stack.callback(engine.close)
        for _ in range(2):
            engine.run(engine.diamonds(_FEW))
            engine.run(engine.wide(_FEW))
        yield engine, worker


def _flush(folder: Path) -> float | None:
    """Return the milliseconds of one flush as PostgreSQL does it on Linux."""
    program = postgres_binaries() / "pg_test_fsync"
    if not program.exists():
        return None
    done = subprocess.run(
        [str(program), "--secs-per-test=1", f"--filename={folder / 'flush'}"],
        capture_output=True,
        text=True,
        check=False,
    )
    line = next((each for each in done.stdout.splitlines() if each.strip().startswith("fdatasync")), "")
    rate = line.split()[1] if len(line.split()) > 1 else ""
    return 1_000 / float(rate) if rate.replace(".", "").isdigit() else None

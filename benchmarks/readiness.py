"""How soon what may run is sent: by the worker that completes its parents, and by a coordinator that is told of it.

Then what a coordinator costs: the statements it asks by itself, its processor time with many timers, and how late it
fires them.
"""

import os
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from statistics import quantiles
from threading import Event as Flag
from threading import Thread
from time import monotonic, time
from typing import Any, Final, TypeVar

import psycopg

from benchmarks.cpu import Meter, difference
from benchmarks.engine import engine_of
from benchmarks.notes import DISPATCHES, STATEMENTS, read_dispatches, read_statements
from benchmarks.servers import Servers
from benchmarks.session import DIAMONDS, Session
from benchmarks.workers import Worker, python_path
from benchmarks.workflows import TIMED, UNSERVED, diamond
from workflow_engine.client.client import WorkflowClient

T = TypeVar("T")
RUNS, NOTICES, TIMERS, FIRED = 300, 300, 100_000, 1_000
WATCHED: Final = 20.0
"""Seconds for which a coordinator is watched."""
PATIENCE: Final = 60.0
_FAR: Final = (
    "INSERT INTO timers (kind, due_at, run_id) "
    "SELECT 'step_ready', now() + interval '1 day' + make_interval(secs => number), gen_random_uuid() "
    "FROM generate_series(1, %s) AS number"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Delays:
    """Milliseconds from one moment to another."""

    what: str
    number: int
    p50: float
    p99: float
    longest: float

    @classmethod
    def of(cls, what: str, seconds: Sequence[float]) -> "Delays":
        """Return what becomes of single delays."""
        cuts = quantiles([1_000 * each for each in seconds], n=100)
        return cls(what=what, number=len(seconds), p50=cuts[49], p99=cuts[98], longest=1_000 * max(seconds))

    def as_json(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return asdict(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class Upkeep:
    """What a coordinator does while nobody needs it, in ``WATCHED`` seconds."""

    what: str
    statements: Mapping[str, int]
    processor: float
    """Share of one processor."""

    def as_json(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return asdict(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class Timed:
    """A process that notes what it sends, and a client of its engine."""

    client: WorkflowClient
    notes: Path
    pid: int


def dispatch_delays(session: Session, servers: Servers) -> list[Delays]:
    """Return how long after a completion its children have been sent, alone and at half of what the worker can do.

    The worker goes on with nothing in place: every step is sent.
    """
    del session
    with _timed(servers, "worker", WFE_KEPT_STEPS="0") as worker:
        half = _half_of(worker)
        alone = _completions(worker, servers, rate=5, number=50)
        loaded = _completions(worker, servers, rate=half, number=RUNS)
    return [
        Delays.of("completion -> child sent, 5 diamonds a second", alone),
        Delays.of(f"completion -> child sent, {half:.0f} diamonds a second (half load)", loaded),
    ]


def notice_delays(session: Session, servers: Servers) -> list[Delays]:
    """Return how long after the commit of a submit in the caller's transaction its first step has been sent."""
    half = half_load(session)
    with _timed(servers, "worker") as worker, _timed(servers, "coordinator") as coordinator:
        alone = _commits(coordinator, servers, rate=20, number=NOTICES)
        with _beside(worker, half, seconds=15):
            loaded = _commits(coordinator, servers, rate=20, number=200)
    return [
        Delays.of("commit -> sent by the coordinator, 20 a second", alone),
        Delays.of(f"the same beside {half:.0f} diamonds a second (half load)", loaded),
    ]


def upkeep(session: Session, servers: Servers) -> list[Upkeep]:
    """Return what a coordinator asks and takes while nothing happens, while steps flow, and with many timers."""
    rate = half_load(session)
    with _timed(servers, "worker") as worker, _timed(servers, "coordinator") as coordinator:
        pid = coordinator.pid
        found = [_watch("nothing happens", servers, pid)]
        with _beside(worker, rate, seconds=WATCHED + 3):
            found.append(_watch(f"{rate:.0f} diamonds a second", servers, pid))
        with psycopg.connect(servers.configuration.database_url, autocommit=True) as connection:
            connection.execute(_FAR, [TIMERS])
            found.append(_watch(f"{TIMERS:,} timers that are not due", servers, pid))
            connection.execute("DELETE FROM timers")
    return found


def lateness(session: Session, servers: Servers) -> Delays:
    """Return how late scheduled runs start, with many other timers, a hundred a second."""
    del session
    with _timed(servers, "coordinator") as coordinator:
        with psycopg.connect(servers.configuration.database_url, autocommit=True) as connection:
            connection.execute(_FAR, [TIMERS])
        begin = datetime.now(UTC) + timedelta(seconds=5)
        due: dict[str, float] = {}
        for number in range(FIRED // 10):
            at = begin + timedelta(seconds=number / 10)
            for run in coordinator.client.submit_many(diamond(UNSERVED), range(10), scheduled_at=at):
                due[run.id] = at.timestamp()
        sent = _until(lambda: _sent(coordinator.notes, due, FIRED), why="every scheduled run has started")
        with psycopg.connect(servers.configuration.database_url, autocommit=True) as connection:
            connection.execute("DELETE FROM timers")
    late = [sent[run_id] - at for run_id, at in due.items()]
    return Delays.of(f"due -> sent, 100 a second, {TIMERS:,} others pending", late)


def half_load(session: Session) -> float:
    """Return half of the diamonds a second that our side's worker can run."""
    timing = session.engine.run(session.engine.diamonds(DIAMONDS))
    return DIAMONDS / timing.finished / 2


def _half_of(worker: Timed) -> float:
    """Return half of the diamonds a second that a worker can run of which nothing is known yet."""
    begin = monotonic()
    runs = [worker.client.submit(diamond(TIMED), 1) for _ in range(RUNS)]
    for run in runs:
        run.wait(timeout=PATIENCE)
    return RUNS / (monotonic() - begin) / 2


def _completions(worker: Timed, servers: Servers, *, rate: float, number: int) -> list[float]:
    runs: list[str] = []
    _paced(rate, number, lambda: runs.append(worker.client.submit(diamond(TIMED), 1).id))
    sent = _until(lambda: _all_sent(worker.notes, runs, 3), why="every child has been sent")
    with psycopg.connect(servers.configuration.database_url, autocommit=True) as connection:
        rows = connection.execute(
            "SELECT run_id::text, step, extract(epoch FROM occurred_at)::float8 FROM events "
            "WHERE name = 'step.dispatched' AND data->>'triggered_by' = 'step_completed' AND run_id = ANY(%s::uuid[])",
            [runs],
        ).fetchall()
    return [sent[run_id, step] - completed for run_id, step, completed in rows]


def _commits(coordinator: Timed, servers: Servers, *, rate: float, number: int) -> list[float]:
    committed: dict[str, float] = {}
    with psycopg.connect(servers.configuration.database_url) as connection:

        def submit() -> None:
            run = coordinator.client.submit(diamond(UNSERVED), 1, session=connection)
            connection.commit()
            committed[run.id] = time()

        _paced(rate, number, submit)
    sent = _until(lambda: _sent(coordinator.notes, committed, number), why="every submitted run has started")
    return [sent[run_id] - at for run_id, at in committed.items()]


def _paced(rate: float, number: int, action: Callable[[], object]) -> None:
    """Do something so many times, so many times a second, without catching up."""
    begin = monotonic()
    for count in range(number):
        Flag().wait(max(begin + count / rate - monotonic(), 0.0))
        action()


@contextmanager
def _beside(worker: Timed, rate: float, *, seconds: float) -> Iterator[None]:
    """Let a worker run so many diamonds a second meanwhile."""
    action = partial(worker.client.submit, diamond(TIMED), 1)
    thread = Thread(target=_paced, args=(rate, int(rate * seconds), action))
    thread.start()
    yield
    thread.join()


def _all_sent(file: Path, runs: Sequence[str], each: int) -> dict[tuple[str, str], float] | None:
    found = {key: at for key, at in read_dispatches(file).items() if key[0] in set(runs)}
    return found if len(found) >= each * len(runs) else None


def _sent(file: Path, runs: Mapping[str, float], number: int) -> dict[str, float] | None:
    found = {run_id: at for (run_id, _), at in read_dispatches(file).items() if run_id in runs}
    return found if len(found) >= number else None


def _until(look: Callable[[], T | None], *, why: str) -> T:
    deadline = monotonic() + PATIENCE
    while (found := look()) is None:
        if monotonic() > deadline:
            raise TimeoutError(f"not within {PATIENCE:g} s: {why}")
        Flag().wait(0.2)
    return found


def _watch(what: str, servers: Servers, pid: int) -> Upkeep:
    file, meter = servers.folder / "statements", Meter({"coordinator": pid})
    Flag().wait(2.0)  # let what was before come to rest
    used, begin = meter.read(), time()
    Flag().wait(WATCHED)
    spent, end = difference(meter.read(), used), time()
    statements = Counter(name for at, name in read_statements(file) if begin <= at <= end)
    return Upkeep(what=what, statements=dict(statements), processor=spent["coordinator"] / (end - begin))


@contextmanager
def _timed(servers: Servers, kind: str, **settings: str) -> Iterator[Timed]:
    """Run a worker or a coordinator that notes what it does, with these settings."""
    file = servers.folder / f"dispatches-{kind}-{monotonic():.3f}"
    variables = {DISPATCHES: str(file), STATEMENTS: str(servers.folder / "statements"), **settings}
    run = _worker if kind == "worker" else _coordinator
    engine = engine_of(servers.configuration)
    try:
        with run(servers, variables) as pid:
            yield Timed(client=engine.client, notes=file, pid=pid)
    finally:
        engine.close()


@contextmanager
def _worker(servers: Servers, variables: Mapping[str, str]) -> Iterator[int]:
    with Worker("timed_worker", TIMED, servers.configuration, servers.folder, variables=variables) as worker:
        engine = engine_of(servers.configuration)
        engine.client.submit(diamond(TIMED), 0).wait(timeout=PATIENCE)  # it has started
        engine.close()
        yield worker.pid


@contextmanager
def _coordinator(servers: Servers, variables: Mapping[str, str]) -> Iterator[int]:
    environment = {**os.environ, **servers.configuration.as_environment(), **variables, "PYTHONPATH": python_path()}
    with (servers.folder / "coordinator.log").open("a") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.timed_coordinator"], env=environment, stdout=log, stderr=log
        )
    try:
        _until(lambda: _leads(servers), why="the coordinator leads")
        _send_first(servers, Path(variables[DISPATCHES]))
        yield process.pid
    finally:
        process.terminate()
        process.wait(15)


def _send_first(servers: Servers, notes: Path) -> None:
    """Let the coordinator read the plan and connect to the broker, which it does once: that is not measured."""
    engine = engine_of(servers.configuration)
    run = engine.client.submit(diamond(UNSERVED), 0, scheduled_at=datetime.now(UTC))
    _until(lambda: _sent(notes, {run.id: 0.0}, 1), why="the coordinator has sent its first step")
    engine.close()


def _leads(servers: Servers) -> bool | None:
    with psycopg.connect(servers.configuration.database_url) as connection:
        query = "SELECT FROM leaders WHERE heartbeat_at > clock_timestamp() - interval '2 seconds'"
        return connection.execute(query).fetchone() is not None or None

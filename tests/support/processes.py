"""Stages: a database, a broker, and the real workers and coordinators that run steps on them."""

import json
import os
import signal
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Event, Thread
from time import monotonic
from typing import Any, TypeVar
from uuid import uuid4

import psycopg
from kombu import Connection
from psycopg.rows import namedtuple_row

from tests.support.matrix import is_rabbitmq, pool_of
from workflow_engine import Client, DatabaseUnavailable, Engine, RunHandle, Settings, Workflow
from workflow_engine.embedded.processes import ChildProcess, Program
from workflow_engine.engine.supervisor import Supervisor

ROOT = Path(__file__).parents[2]
STEPS_APP = "tests.acceptance.steps_app"
T = TypeVar("T")

QUICK: dict[str, Any] = {
    "lease_seconds": 2.0,
    "heartbeat_seconds": 0.5,
    "stranded_seconds": 0.7,
    "poll_seconds": 1.0,
    "orchestration": {"fallback_poller": {"fallback_polling_interval_seconds": 1.0}},
}
"""Settings under which what is lost is found again within seconds."""


def wait_until(condition: Callable[[], T], *, within: float = 20.0, why: str = "") -> T:
    """Return the first true value of ``condition``; fail after ``within`` seconds."""
    deadline = monotonic() + within
    while not (value := condition()):
        assert monotonic() < deadline, f"not within {within:g} s: {why or condition}"
        Event().wait(0.02)
    return value


@dataclass(frozen=True, slots=True, kw_only=True)
class Traced:
    """One call of a handler."""

    run_id: str
    step: str
    attempt: int
    pid: int


class StageProcess:
    """A process in a session of its own, with all that it starts; it dies with this process."""

    def __init__(self, stage: "Stage", name: str, argv: list[str], **variables: str) -> None:
        self.name = name
        self.log = stage.folder / f"{name}.log"
        self._process = ChildProcess(
            Program(
                argv=[sys.executable, *argv],
                env={**os.environ, **stage.environment(), **variables},
                log=self.log,
                cwd=ROOT,
            )
        )

    @property
    def pid(self) -> int:
        """The main process."""
        return self._process.pid

    def is_alive(self) -> bool:
        """Tell whether the main process lives."""
        return self._process.returncode is None

    def kill(self) -> None:
        """Kill it and all it started at once, as a power cut would."""
        self._process.sweep()

    def freeze(self) -> None:
        """Stop it, and all it started, in the middle of what they do."""
        os.killpg(self.pid, signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on as if nothing had happened."""
        os.killpg(self.pid, signal.SIGCONT)

    def tell_to_stop(self) -> None:
        """Ask it to end in good order; do not wait for that."""
        self._process.send(signal.SIGTERM)

    def stop(self) -> None:
        """Let it end in good order; nothing of it is left."""
        self._process.stop([(signal.SIGTERM, 15.0)])


class WorkerProcess(StageProcess):
    """A Celery worker with its pool."""

    def __init__(self, stage: "Stage", *options: str, app: str = STEPS_APP, **variables: str) -> None:
        name = f"w{uuid4().hex[:8]}@stage"
        arguments = ["-A", app, "worker", "--hostname", name, "--without-gossip", "--without-mingle"]
        argv = ["-m", "celery", *arguments, "--loglevel", "INFO", *options]
        super().__init__(stage, name, argv, STAGE_WORKER=name, **variables)
        self._announced = stage.folder / f"ready-{name}"

    def wait_until_ready(self) -> None:
        """Return once it takes messages."""
        wait_until(lambda: self._announced.exists() or not self.is_alive(), within=60, why="the worker is ready")
        assert self._announced.exists(), self.log.read_text()


class CoordinatorProcess(StageProcess):
    """What ``wfe coordinator`` runs."""

    def __init__(self, stage: "Stage", **variables: str) -> None:
        super().__init__(stage, f"coordinator-{uuid4().hex[:8]}", ["-m", "workers.coordinator"], **variables)

    def wait_until_ready(self) -> None:
        """Return once its services run."""
        wait_until(lambda: "running: " in self.log.read_text() or not self.is_alive(), within=60, why="it runs")
        assert self.is_alive(), self.log.read_text()


class RelayProcess(StageProcess):
    """What ``wfe relay`` runs, with a subscriber that leaves a line for each event, beside those built in."""

    def __init__(self, stage: "Stage", **variables: str) -> None:
        folder = stage.folder / "delivered"
        folder.mkdir(exist_ok=True)
        ours = {
            "WFE_SUBSCRIBERS": "tests.acceptance.relay_log:Tracer",
            "WFE_RELAY_LEASE_SECONDS": "1",
            "RELAY_FOLDER": str(folder),
        }
        super().__init__(stage, f"relay-{uuid4().hex[:8]}", ["-m", "workers.relay"], **{**ours, **variables})


class Stage:
    """What one story needs; everything it started is gone after ``close``."""

    def __init__(self, folder: Path, database_url: str, broker_url: str, **settings: Any) -> None:
        self.folder = folder
        self.database_url = database_url
        self.broker_url = broker_url
        self.settings = Settings(
            database_url=database_url,
            broker_url=broker_url,
            **{"queue": f"q{uuid4().hex[:8]}", **QUICK, **settings},
        )
        self.client = Client(self.settings)
        self.workers: list[WorkerProcess] = []
        self.coordinators: list[CoordinatorProcess] = []
        self.relays: list[RelayProcess] = []
        self._coordinators: list[tuple[Supervisor, Thread]] = []
        self._engines: list[Engine] = []

    def environment(self) -> dict[str, str]:
        """Return what its workers must know."""
        given = self.settings.model_dump(exclude_unset=True, mode="json")
        return {
            **{f"WFE_{name.upper()}": _as_variable(value) for name, value in given.items()},
            "STAGE_FOLDER": str(self.folder),
            "PYTHONDONTWRITEBYTECODE": "1",
        }

    def start_worker(self, *options: str, app: str = STEPS_APP, ready: bool = True, **variables: str) -> WorkerProcess:
        """Start a worker, with the session's pool unless told otherwise, and wait until it takes messages, likewise."""
        if not any(option.startswith(("-c", "--concurrency")) for option in options):
            options = (*options, "-c2")
        pool = pool_of(options)
        worker = WorkerProcess(self, *options, "--pool", pool, app=app, STAGE_POOL=pool, **variables)
        self.workers.append(worker)
        if ready:
            worker.wait_until_ready()
        return worker

    def start_coordinator(self) -> Supervisor:
        """Start a coordinator in a thread, for tests that do not kill it."""
        engine = Engine(self.settings)
        supervisor = engine.coordinator()
        thread = Thread(target=supervisor.run, name="coordinator", daemon=True)
        thread.start()
        self._coordinators.append((supervisor, thread))
        self._engines.append(engine)
        return supervisor

    def start_coordinator_process(self, *, ready: bool = True, **variables: str) -> CoordinatorProcess:
        """Start a coordinator that may be killed, and wait until it runs, unless told otherwise."""
        coordinator = CoordinatorProcess(self, **variables)
        self.coordinators.append(coordinator)
        if ready:
            coordinator.wait_until_ready()
        return coordinator

    def start_relay(self, **variables: str) -> RelayProcess:
        """Start a relay that leaves a line for each event it delivers."""
        relay = RelayProcess(self, **variables)
        self.relays.append(relay)
        return relay

    def stop_coordinators(self) -> None:
        """Stop every coordinator."""
        for supervisor, _ in self._coordinators:
            supervisor.stop()
        for _, thread in self._coordinators:
            thread.join(timeout=20)
        self._coordinators.clear()

    def submit(self, workflow: Workflow | str, value: Any = None, **options: Any) -> RunHandle:
        """Submit a run."""
        return self.client.submit(workflow, value, **options)

    def open_gate(self, name: str) -> None:
        """Let the handlers pass that wait for this gate."""
        (self.folder / f"gate-{name}").touch()

    def traced(self, run: RunHandle | None = None, step: str | None = None) -> list[Traced]:
        """Return the calls of handlers so far."""
        path = self.folder / "trace"
        lines = path.read_text().splitlines() if path.exists() else []
        calls = [_traced(line) for line in lines]
        return [
            call for call in calls if (run is None or call.run_id == run.id) and (step is None or call.step == step)
        ]

    def wait_for_call(self, run: RunHandle, step: str, attempt: int = 1, within: float = 20.0) -> Traced:
        """Return once the handler of a step was called for that attempt."""
        return wait_until(
            lambda: next((call for call in self.traced(run, step) if call.attempt == attempt), None),
            within=within,
            why=f"{step} attempt {attempt} was called",
        )

    def delivered(self) -> list[int]:
        """Return the places in the log of the events that relays have delivered, as they came."""
        path = self.folder / "delivered" / "trace"
        return [int(line.split()[1]) for line in path.read_text().splitlines()] if path.exists() else []

    def rows(self, query: str, *values: Any) -> list[Any]:
        """Run a query of the test's own."""
        with psycopg.connect(self.database_url, autocommit=True, row_factory=namedtuple_row) as connection:
            return connection.execute(query.encode(), values).fetchall()

    def close(self) -> None:
        """End everything, and print the logs for whoever reads a failure."""
        processes = [*self.workers, *self.coordinators, *self.relays]
        for process in processes:
            process.kill()  # nobody needs what it still does, and an orderly end takes seconds
        self.stop_coordinators()
        for process in processes:
            print(f"--- {process.name}", *process.log.read_text(errors="replace").splitlines()[-150:], sep="\n")
        for engine in self._engines:
            engine.close()
        self.client.close()
        if is_rabbitmq(self.broker_url):
            self._delete_queue()

    def _delete_queue(self) -> None:
        with suppress(OSError), Connection(self.broker_url, connect_timeout=3) as connection:
            connection.default_channel.queue_delete(self.settings.queue)


def _as_variable(value: Any) -> str:
    return json.dumps(value) if isinstance(value, dict) else str(value)


def _traced(line: str) -> Traced:
    run_id, step, attempt, pid = line.split()
    return Traced(run_id=run_id, step=step, attempt=int(attempt), pid=int(pid))


@contextmanager
def stage(folder: Path, database_url: str, broker_url: str, **settings: Any) -> Iterator[Stage]:
    """Make a stage; stop all that was started on it at the end of the block."""
    made = Stage(folder, database_url, broker_url, **settings)
    try:
        yield made
    finally:
        made.close()


def states(run: RunHandle) -> dict[str, str]:
    """Return the states of a run's steps by name."""
    return {step.name: step.state.value for step in run.steps()}


def event_names(run: RunHandle, *only: str, step: str | None = None) -> list[str]:
    """Return the names of a run's events in order; ``only`` some names, or of one step."""
    return [
        event.name
        for event in run.events()
        if (not only or event.name in only) and (step is None or event.step == step)
    ]


def count_completions(run: RunHandle) -> dict[str, int]:
    """Return how many ``step.completed`` events each step has."""
    counts: dict[str, int] = {}
    for event in run.events():
        if event.name == "step.completed":
            counts[event.step or ""] = counts.get(event.step or "", 0) + 1
    return counts


def answering(runs: list[RunHandle]) -> list[RunHandle]:
    """Return the runs once the database answers this process again: a restart breaks its connections, too."""

    def answers() -> bool:
        with suppress(DatabaseUnavailable):
            return bool(runs[0].state)
        return False

    wait_until(answers, why="the client has a connection again")
    return runs


def wait_for_all(runs: Iterable[RunHandle], within: float = 30.0) -> list[str]:
    """Wait for every run; return their states."""
    deadline = monotonic() + within
    return [run.wait(timeout=max(deadline - monotonic(), 0.01)).state.value for run in runs]

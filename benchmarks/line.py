"""What steps cost that go on in place, and nothing else: this process runs them, as a process of a worker's pool does.

No message, worker or second process is between two steps, so what is left is Python here and PostgreSQL there. Their
ratio says more than the times where others use the machine, and a profiler of either has little else to show.
"""

import os
import resource
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from statistics import median
from time import perf_counter
from typing import Any, Final

from celery.app.trace import build_tracer, setup_worker_optimizations

from benchmarks.cpu import Meter, difference
from benchmarks.engine import engine_of
from benchmarks.servers import Servers
from benchmarks.trace import TRACE_FILE
from benchmarks.workflows import UNSERVED, chain, diamond
from workflow_engine import Workflow, compile_plan
from workflow_engine.celery_app.messages import STEP_TASK
from workflow_engine.model.commands import StepAttempt

STEPS: Final = 2_000
"""In each round, of each shape."""
_HOST: Final = "line@benchmark"
_WARM_UP: Final = 400


@dataclass(frozen=True, slots=True, kw_only=True)
class LineCost:
    """Milliseconds a step."""

    shape: str
    clock: float
    python: float
    """Of this process: psycopg, Celery's tracer, and what is ours; the submit's share is left out."""
    postgres: float
    """Of the server, the submit's share included."""
    ratio: float
    """PostgreSQL's time over Python's."""

    def as_json(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return asdict(self)


def line_costs(servers: Servers, rounds: int) -> Iterator[LineCost]:
    """Yield what a step costs of a chain and of diamonds: the medians of the rounds."""
    for shape, workflow in (("chain of 100", chain(100, UNSERVED)), ("diamond", diamond(UNSERVED))):
        with _runner(servers, workflow) as run:
            _measure(run, servers, _WARM_UP, len(workflow.steps))
            found = [_measure(run, servers, STEPS, len(workflow.steps)) for _ in range(rounds)]
        clock, python, postgres = (median(each) for each in zip(*found, strict=True))
        ratio = median(server / ours for _, ours, server in found)
        yield LineCost(shape=shape, clock=clock, python=python, postgres=postgres, ratio=ratio)


@contextmanager
def _runner(servers: Servers, workflow: Workflow) -> Iterator[Callable[[], tuple[float, float]]]:
    """Lend what runs one run, and returns its steps' seconds by the clock and of this process's processor."""
    engine = engine_of(servers.configuration, [workflow])
    app = engine.install()
    task = app.tasks[STEP_TASK]
    setup_worker_optimizations(app, hostname=_HOST)
    task.__trace__ = build_tracer(task.name, task, app.loader, _HOST, app=app)
    task.runtime.kept_steps.open(of_processes=False)
    plan_id = engine.processor.register(compile_plan(workflow))

    def run() -> tuple[float, float]:
        handle = engine.client.submit(workflow, 1)
        attempt = StepAttempt(plan_id=plan_id, run_id=handle.id, position=0, attempt=1)
        headers = {**task.runtime.headers(attempt, None), "hostname": _HOST, "is_eager": False}
        began, used = perf_counter(), _used()
        task.__trace__(headers["id"], [], {}, headers)
        return perf_counter() - began, _used() - used

    os.environ[TRACE_FILE] = str(servers.folder / "line.trace")  # where its steps write to
    try:
        yield run
    finally:
        engine.close()


def _measure(
    run: Callable[[], tuple[float, float]], servers: Servers, steps: int, each: int
) -> tuple[float, float, float]:
    """Return milliseconds a step, by the clock, of this process and of PostgreSQL."""
    meter = Meter(servers.processes)
    before, number = meter.read(), steps // each
    clock, python = (sum(taken) for taken in zip(*(run() for _ in range(number)), strict=True))
    postgres = difference(meter.read(), before).get("postgres", 0.0)
    clock, python, postgres = (1_000 * taken / (number * each) for taken in (clock, python, postgres))
    return clock, python, postgres


def _used() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime

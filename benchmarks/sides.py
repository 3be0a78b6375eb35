"""The two sides of the comparison: each prepares a shape, submits it, and proves afterwards that it ran."""

import json
import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import count
from threading import Event as Flag
from time import perf_counter
from typing import Any, Final

import psycopg
import redis

from benchmarks.canvas import Canvas, canvas_app
from benchmarks.configuration import Configuration
from benchmarks.cpu import Meter, difference
from benchmarks.engine import engine_of
from benchmarks.trace import StepsMissing, Trace, record
from benchmarks.workflows import chain, diamond, wide
from workflow_engine import RunHandle, Workflow
from workflow_engine.client.batch import BATCH_LIMIT

_SETTLE_SECONDS: Final = 20.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """Work that is ready to be submitted."""

    submit: Callable[[], Sequence[str]]
    """Returns what ``Side.settle`` needs to find it again."""
    expected: Sequence[str]
    """The records its steps append."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """How long work took, in seconds."""

    submitted: float
    finished: float
    cpu: Mapping[str, float]
    """Processor seconds of each part."""

    @property
    def others(self) -> float:
        """The share of the machine's processors that other programs took meanwhile."""
        taken = self.cpu.get("others", 0.0)  # a little below nothing at times: the two are counted in different ways
        return max(0.0, taken / (self.finished * (os.cpu_count() or 1)))

    def as_json(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return {"submitted": self.submitted, "finished": self.finished, "cpu": dict(self.cpu)}


class Side(ABC):
    """Runs contestants, one at a time."""

    name: str

    def __init__(self, trace: Trace, meter: Meter) -> None:
        """Notice finished steps in ``trace``; charge processor time by ``meter``."""
        self.trace = trace
        self.meter = meter
        self._runs = count()

    @abstractmethod
    def chain(self, length: int) -> Work:
        """Return a chain."""

    @abstractmethod
    def diamonds(self, number: int) -> Work:
        """Return so many diamonds, to be submitted one by one."""

    @abstractmethod
    def wide(self, width: int) -> Work:
        """Return one step, ``width`` after it, one after all of them."""

    @abstractmethod
    def settle(self, submitted: Sequence[str]) -> None:
        """Come back when all bookkeeping is over too; raise ``StepsMissing`` unless it says that all went well."""

    def run(self, work: Work, *, timeout: float = 60.0) -> Timing:
        """Submit work and time it, from before its first submission to the last step's record."""
        self.trace.clear()
        used = self.meter.read()
        begin = perf_counter()
        submitted = work.submit()
        mid = perf_counter()
        end = self.trace.wait(len(work.expected), timeout)
        self.settle(submitted)
        cpu = difference(self.meter.read(), used)
        self.trace.check(work.expected)
        return Timing(submitted=mid - begin, finished=end - begin, cpu=cpu)

    def _next_runs(self, number: int) -> list[int]:
        return [next(self._runs) % 100_000 for _ in range(number)]


class CanvasSide(Side):
    """Celery's canvas with Redis results."""

    name = "celery"

    def __init__(self, configuration: Configuration, trace: Trace, meter: Meter) -> None:
        """Submit to the worker that appends to ``trace``."""
        super().__init__(trace, meter)
        self.canvas = Canvas(canvas_app(configuration))
        self._results = redis.Redis.from_url(configuration.results_url)

    def chain(self, length: int) -> Work:
        """Return a chain."""
        (run,) = self._next_runs(1)
        return self._job([self.canvas.chain(run, length)], _records([run], length))

    def diamonds(self, number: int) -> Work:
        """Return diamonds, built beforehand: building them is not timed."""
        runs = self._next_runs(number)
        return self._job([self.canvas.diamond(run) for run in runs], _records(runs, 4))

    def wide(self, width: int) -> Work:
        """Return a chord between two tasks."""
        (run,) = self._next_runs(1)
        return self._job([self.canvas.wide(run, width)], _records([run], width + 2))

    def settle(self, submitted: Sequence[str]) -> None:
        """Look for the last tasks' results, where Celery put them."""
        keys = [f"celery-task-meta-{task_id}" for task_id in submitted]

        def all_succeeded() -> bool:
            found = self._results.mget(keys)
            return all(each and json.loads(each)["status"] == "SUCCESS" for each in found)

        _wait_until(all_succeeded, "Celery has not stored every last task's result")

    def close(self) -> None:
        """Give back connections."""
        self._results.close()
        self.canvas.app.close()

    def _job(self, canvases: list[Any], expected: list[str]) -> Work:
        return Work(submit=lambda: [canvas.apply_async().id for canvas in canvases], expected=expected)


class EngineSide(Side):
    """Our workflows."""

    name = "engine"

    def __init__(
        self, configuration: Configuration, trace: Trace, meter: Meter, workflows: Iterable[Workflow] | None = None
    ) -> None:
        """Submit to the worker that appends to ``trace``; ``workflows``: those to be known, unless all are served."""
        super().__init__(trace, meter)
        self.engine = engine_of(configuration, workflows)
        self.client = self.engine.client
        self._database = psycopg.connect(configuration.database_url, autocommit=True)

    def chain(self, length: int) -> Work:
        """Return a chain."""
        return self._job(chain(length), 1, length)

    def diamonds(self, number: int) -> Work:
        """Return diamonds."""
        return self._job(diamond(), number, 4)

    def diamonds_at_once(self, number: int) -> Work:
        """Return diamonds, to be submitted by one ``submit_many``."""
        return self.runs(diamond(), number, 4)

    def wide(self, width: int) -> Work:
        """Return one step, ``width`` after it, one after all of them."""
        return self._job(wide(width), 1, width + 2)

    def runs(self, workflow: Workflow, number: int, steps: int) -> Work:
        """Return runs of ``workflow``, which has so many steps, to be submitted in batches."""
        runs = self._next_runs(number)
        batches = [runs[first : first + BATCH_LIMIT] for first in range(0, number, BATCH_LIMIT)]
        return Work(
            submit=lambda: [run.id for batch in batches for run in self.client.submit_many(workflow, batch)],
            expected=_records(runs, steps),
        )

    def settle(self, submitted: Sequence[str]) -> None:
        """Ask the database whether every run has succeeded, and every step of them."""
        _wait_until(partial(self._succeeded, list(submitted)), "not every run has succeeded")

    def close(self) -> None:
        """Give back connections."""
        self._database.close()
        self.engine.close()

    def _succeeded(self, run_ids: list[str]) -> bool:
        row = self._database.execute(
            "SELECT count(*) FILTER (WHERE runs.state <> 'succeeded') = 0 AND NOT EXISTS ("
            "SELECT FROM steps WHERE steps.run_id = ANY(%(ids)s::uuid[]) AND steps.state <> 'succeeded') "
            "FROM runs WHERE runs.id = ANY(%(ids)s::uuid[])",
            {"ids": run_ids},
        ).fetchone()
        return bool(row and row[0])

    def _job(self, workflow: Workflow, number: int, steps: int) -> Work:
        runs = self._next_runs(number)
        return Work(
            submit=lambda: _ids(self.client.submit(workflow, run) for run in runs),
            expected=_records(runs, steps),
        )


def _ids(handles: Iterable[RunHandle]) -> list[str]:
    return [handle.id for handle in handles]


def _records(runs: Sequence[int], steps: int) -> list[str]:
    return [record(run, step) for run in runs for step in range(steps)]


def _wait_until(condition: Callable[[], bool], otherwise: str) -> None:
    deadline = perf_counter() + _SETTLE_SECONDS
    while not condition():
        if perf_counter() > deadline:
            raise StepsMissing(otherwise)
        Flag().wait(0.02)

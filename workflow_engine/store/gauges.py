"""How much waits: what the coordinator's gauges show, counted at a bounded cost."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from psycopg import Connection

from workflow_engine.model.run import FINAL_RUN_STATES, RunState
from workflow_engine.model.step import FINAL_STEP_STATES, StepState
from workflow_engine.store.cursors import Cursors
from workflow_engine.store.database import bound
from workflow_engine.store.statements import statement

_RUNS = statement("count_unfinished_runs")
_STEPS = statement("count_unfinished_steps")
_WORKERS = statement("count_workers")
_DEAD_STEPS = statement("count_dead_steps")
_OLDEST_READY = statement("oldest_ready")
_TIMERS = statement("count_timers")

_LONGEST: Final = timedelta(seconds=3)
"""What a statement may take; Prometheus waits ten seconds for an answer."""

COUNTED: Final = 100_000
"""Runs, and steps, that are looked at; the steps take a tenth of a second."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SubscriberBacklog:
    """What a durable subscriber has not had."""

    name: str
    lag_events: int
    lag_seconds: float
    dead_letters: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Backlog:
    """What waits at one moment."""

    runs: Mapping[RunState, int]
    """Unfinished runs; each state is there, also with 0."""
    steps: Mapping[StepState, int]
    """Unfinished steps; each state is there, also with 0."""
    queues: Mapping[str | None, int]
    """Dispatched steps by queue; None is the app's default queue."""
    timers: Mapping[str, int]
    """Moments in the future, by kind; a kind without any is not there."""
    oldest_ready_seconds: float
    workers_alive: int
    dead_steps: Mapping[tuple[str, str], int]
    """Steps that failed for good and wait for a person, by namespace and workflow."""
    is_complete: bool
    """False if there was more than is counted."""
    subscribers: Sequence[SubscriberBacklog]


class Gauges:
    """Counts of what is not finished."""

    def __init__(self, connection: Connection[Any]) -> None:
        """Count on the given connection, which must be in a transaction."""
        self._connection = connection

    def backlog(self, lease: timedelta, *, limit: int = COUNTED) -> Backlog:
        """Count what waits, of at most ``limit`` runs and steps; a worker is alive if heard of within ``lease``."""
        bound(self._connection, _LONGEST)
        runs = {row.state: row.number for row in self._connection.execute(_RUNS, {"limit": limit})}
        steps = self._connection.execute(_STEPS, {"limit": limit}).fetchall()
        dead = self._connection.execute(_DEAD_STEPS, {"limit": limit}).fetchall()
        timers = self._connection.execute(_TIMERS, {"limit": limit})
        (oldest,) = self._connection.execute(_OLDEST_READY).fetchall()
        (workers,) = self._connection.execute(_WORKERS, {"lease": lease}).fetchall()
        return Backlog(
            runs={state: runs.get(state, 0) for state in RunState if state not in FINAL_RUN_STATES},
            steps=_by_state(steps),
            queues={row.queue: row.number for row in steps if row.state == StepState.DISPATCHED},
            timers={row.kind: row.number for row in timers},
            oldest_ready_seconds=oldest.seconds or 0.0,
            workers_alive=workers.alive,
            dead_steps={(row.namespace, row.workflow): row.number for row in dead},
            is_complete=all(
                sum(numbers) < limit
                for numbers in (runs.values(), (row.number for row in steps), (row.number for row in dead))
            ),
            subscribers=[
                SubscriberBacklog(
                    name=cursor.subscriber,
                    lag_events=cursor.lag,
                    lag_seconds=_age(cursor.waiting_since, workers.now),
                    dead_letters=cursor.dead,
                )
                for cursor in Cursors(self._connection).page()
            ],
        )


def _by_state(rows: Sequence[Any]) -> dict[StepState, int]:
    numbers: Counter[str] = Counter()
    for row in rows:
        numbers[row.state] += row.number
    return {state: numbers[state] for state in StepState if state not in FINAL_STEP_STATES}


def _age(since: datetime | None, now: datetime) -> float:
    return 0.0 if since is None else max((now - since).total_seconds(), 0.0)

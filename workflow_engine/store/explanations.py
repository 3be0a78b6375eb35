"""What explanations of runs are made of: each kind of row for any number of runs at once."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from psycopg import Connection

from workflow_engine.ids import RunId
from workflow_engine.model.run import RunState
from workflow_engine.model.step import StepState
from workflow_engine.store.statements import statement

_RUNS = statement("explain_runs")
_STEPS = statement("explain_steps")
_WORKERS = statement("explain_workers")
_QUEUES = statement("explain_queues")
_EVENTS = statement("explain_events")
_TIMERS = statement("explain_timers")

COUNTED_RUNS: Final = 10_000
"""Unfinished runs, the oldest, over which queues are counted."""
_TOLD: Final = ("step.released", "step.skipped", "step.cancelled", "run.cancelling", "run.paused")
_EVENTS_EACH: Final = 2_000
_TIMERS_EACH: Final = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFacts:
    """A run."""

    run_id: RunId
    plan_id: int
    namespace: str
    workflow: str
    version: str
    state: RunState
    error: Mapping[str, Any] | None
    created_at: datetime
    scheduled_at: datetime | None
    due_at: datetime | None
    expires_at: datetime | None
    started_at: datetime | None
    finished_at: datetime | None
    at: datetime
    """Now, by PostgreSQL's clock."""
    by_state: Mapping[str, int]
    leader: str | None
    """The coordinator that was last known to lead."""
    leader_heard_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class StepFacts:
    """A step of a run."""

    run_id: RunId
    position: int
    state: StepState
    attempt: int
    forgiven: int
    resends: int
    ready_at: datetime | None
    dispatched_at: datetime | None
    started_at: datetime | None
    finished_at: datetime | None
    error_class: str | None
    error_message: str | None
    worker: str | None
    """The name of the worker that runs it; None if none does, or that worker is not known any more."""
    worker_heard_at: datetime | None
    is_dead_letter: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerFacts:
    """What a worker serves, by its own word."""

    id: str
    name: str
    queues: Sequence[str]
    """Empty until it has said so."""
    concurrency: int | None
    heard_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Loads:
    """What is before steps in their queues, and what workers run."""

    ahead: Mapping[tuple[RunId, str | None], int]
    """By run and queue (None: the default queue): what other runs have in it from before."""
    running: Mapping[str, int]
    """By worker id."""
    is_counted: bool
    """False if there was more than is counted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ToldFact:
    """An event that says why."""

    run_id: RunId
    name: str
    step: str | None
    occurred_at: datetime
    data: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class TimerFacts:
    """A timer of a run."""

    run_id: RunId
    kind: str
    due_at: datetime
    position: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueQuestion:
    """What is before a run's steps in a queue, of which the first was sent at a moment?"""

    run_id: RunId
    queue: str | None
    since: datetime


class Explanations:
    """Questions about why runs are where they are; each is one statement, for however many runs."""

    def __init__(self, connection: Connection[Any]) -> None:
        """Ask on the given connection."""
        self._connection = connection

    def runs(self, run_ids: Sequence[RunId], role: str) -> list[RunFacts]:
        """Return the runs that there are, and who leads in a role."""
        rows = self._connection.execute(_RUNS, {"run_ids": list(run_ids), "role": role})
        return [
            RunFacts(**{**row._asdict(), "state": RunState(row.state), "by_state": row.by_state or {}}) for row in rows
        ]

    def steps(self, run_ids: Sequence[RunId], states: Sequence[StepState], limit: int) -> list[StepFacts]:
        """Return of each run up to ``limit`` steps that are in one of ``states``, in topological order."""
        asked = {"run_ids": list(run_ids), "states": [state.value for state in states], "limit": limit}
        rows = self._connection.execute(_STEPS, asked)
        return [StepFacts(**{**row._asdict(), "state": StepState(row.state)}) for row in rows]

    def workers(self) -> list[WorkerFacts]:
        """Return the workers, also those that fell silent within the last day."""
        return [WorkerFacts(**row._asdict()) for row in self._connection.execute(_WORKERS)]

    def loads(self, questions: Sequence[QueueQuestion], limit: int = COUNTED_RUNS) -> Loads:
        """Return what is before steps in their queues, counted over the ``limit`` oldest unfinished runs."""
        asked = {
            "run_ids": [each.run_id for each in questions],
            "queues": [each.queue or "" for each in questions],
            "moments": [each.since for each in questions],
            "limit": limit,
        }
        rows = self._connection.execute(_QUEUES, asked).fetchall()
        return Loads(
            ahead={(RunId(row.run_id), row.queue or None): row.number for row in rows if row.run_id},
            running={row.worker_id: row.number for row in rows if row.worker_id},
            is_counted=all(row.is_counted for row in rows),
        )

    def told(self, run_ids: Sequence[RunId]) -> list[ToldFact]:
        """Return what the event log says of why, the newest first."""
        asked = {"run_ids": list(run_ids), "names": list(_TOLD), "limit": _EVENTS_EACH}
        return [ToldFact(**row._asdict()) for row in self._connection.execute(_EVENTS, asked)]

    def timers(self, run_ids: Sequence[RunId]) -> list[TimerFacts]:
        """Return the next timers of each run, earliest first."""
        asked = {"run_ids": list(run_ids), "limit": _TIMERS_EACH}
        return [TimerFacts(**row._asdict()) for row in self._connection.execute(_TIMERS, asked)]

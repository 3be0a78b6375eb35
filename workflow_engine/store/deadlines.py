"""When runs are due and when they time out."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from psycopg import Connection

from workflow_engine.ids import RunId
from workflow_engine.model.deadlines import as_seconds
from workflow_engine.model.run import FINAL_RUN_STATES, RunState
from workflow_engine.store.statements import statement

_LOCK = statement("lock_deadline")
_MOVE = statement("move_deadline")
_FIND_DUE = statement("find_due_runs")
_FIND_TIMED_OUT = statement("find_timed_out")


@dataclass(frozen=True, slots=True, kw_only=True)
class Deadline:
    """When a run is due, while we hold the run."""

    state: RunState
    plan_id: int
    due_at: datetime | None
    remind_before: tuple[timedelta, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class DueRun:
    """A run that is due, or soon will be, and has not ended."""

    run_id: RunId
    plan_id: int
    due_at: datetime
    before: float
    """Seconds, of the reminder; 0: it is due now."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TimedOutRun:
    """A run whose time is over."""

    run_id: RunId
    timeout: timedelta


class Deadlines:
    """The moments in ``runs``. Triggers set their timers and move them, whoever writes the rows."""

    def __init__(self, connection: Connection[Any]) -> None:
        """Work on the given connection."""
        self._connection = connection

    def lock(self, run_id: RunId) -> Deadline | None:
        """Hold a run's row until the transaction ends."""
        row = self._connection.execute(_LOCK, {"run_id": run_id}).fetchone()
        if row is None:
            return None
        return Deadline(
            state=RunState(row.state),
            plan_id=row.plan_id,
            due_at=row.due_at,
            remind_before=lengths(row.remind_before),
        )

    def move(self, run_id: RunId, due_at: datetime | None, remind_before: Sequence[timedelta]) -> bool:
        """Say anew when an unfinished run is due; its timers move along. False if it has ended."""
        row = self._connection.execute(
            _MOVE,
            {
                "run_id": run_id,
                "due_at": due_at,
                "remind_before": as_seconds(remind_before) or None,
                "final": [state.value for state in FINAL_RUN_STATES],
            },
        ).fetchone()
        return row is not None

    def find_due(self, moments: Sequence[tuple[RunId, float]]) -> list[DueRun]:
        """Return, of runs and seconds before they are due (0: then), those where that has come; in the order given.

        Left out are runs that have ended or are being cancelled, and reminders that are not wanted any more.
        """
        rows = self._connection.execute(
            _FIND_DUE,
            {"run_ids": [run_id for run_id, _ in moments], "befores": [before for _, before in moments]},
        )
        return [
            DueRun(run_id=RunId(row.run_id), plan_id=row.plan_id, due_at=row.due_at, before=row.before) for row in rows
        ]

    def find_timed_out(self, run_ids: Sequence[RunId]) -> list[TimedOutRun]:
        """Return those of these runs that have not ended within their timeout and are not being cancelled."""
        rows = self._connection.execute(_FIND_TIMED_OUT, {"run_ids": list(run_ids)})
        return [TimedOutRun(run_id=RunId(row.run_id), timeout=timedelta(seconds=row.timeout)) for row in rows]


def lengths(seconds: Sequence[float] | None) -> tuple[timedelta, ...]:
    """Return what a column keeps as seconds."""
    return tuple(timedelta(seconds=each) for each in seconds or ())

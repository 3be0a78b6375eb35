"""Take timers that have come due."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from psycopg import Connection

from workflow_engine.ids import RunId
from workflow_engine.model.commands import StepAttempt
from workflow_engine.model.timers import Timer, TimerKind
from workflow_engine.store.statements import statement

_TAKE_DUE = statement("take_due_timers")
_NEXT = statement("next_timer")
_SET = statement("set_timer")
_SET_FOR_RUN = statement("set_run_timer")
_SET_ATTEMPT = statement("set_attempt_timers")
_MOVE_ATTEMPT = statement("move_attempt_timer")
_DROP_ATTEMPT = statement("drop_attempt_timers")
_SERVER_AGE = statement("server_age")


@dataclass(frozen=True, slots=True, kw_only=True)
class NextTimer:
    """When the next timer is due."""

    due_epoch: float
    """Seconds since 1970, by PostgreSQL's clock: to compare with what a notice says."""
    seconds: float
    """From now; negative if it is overdue."""


class Timers:
    """The ``timers`` table. Triggers put most timers there: whoever makes a moment makes its timer."""

    def __init__(self, connection: Connection[Any]) -> None:
        """Work on the given connection."""
        self._connection = connection

    def take_due(self, kinds: Sequence[str], limit: int) -> list[Timer]:
        """Delete and return up to ``limit`` timers of these kinds that are due, earliest first.

        They are due again if the transaction does not commit.
        """
        rows = self._connection.execute(_TAKE_DUE, {"kinds": list(kinds), "limit": limit})
        return sorted((_timer(row) for row in rows), key=lambda timer: timer.due_at)

    def postpone(self, timer: Timer, delay: timedelta) -> None:
        """Set a timer again that was taken but cannot be fired now."""
        self._connection.execute(
            _SET,
            {
                "kind": timer.kind,
                "delay": delay,
                "run_id": timer.run_id,
                "position": timer.position,
                "attempt": timer.attempt,
                "schedule_id": timer.schedule_id,
                "data": None if timer.data is None else json.dumps(timer.data),
            },
        )

    def set_for_run(self, kind: TimerKind, run_id: RunId, delay: timedelta) -> None:
        """Set a timer of a run."""
        self._connection.execute(_SET_FOR_RUN, {"kind": kind.value, "run_id": run_id, "delay": delay})

    def set_attempt(self, attempt: StepAttempt, seconds: Mapping[TimerKind, float]) -> None:
        """Set timers of an attempt, each so many seconds from now."""
        asked = {"plan_id": attempt.plan_id, "kinds": list(seconds), "seconds": list(seconds.values())}
        self._connection.execute(_SET_ATTEMPT, {**_key(attempt), **asked})

    def move_attempt(self, attempt: StepAttempt, kind: TimerKind, seconds: float) -> bool:
        """Make a timer of an attempt due so many seconds from now; False if there is none."""
        asked = {**_key(attempt), "kind": kind, "seconds": seconds}
        return self._connection.execute(_MOVE_ATTEMPT, asked).fetchone() is not None

    def drop_attempt(self, attempt: StepAttempt, kinds: Sequence[TimerKind]) -> None:
        """Remove timers of an attempt."""
        self._connection.execute(_DROP_ATTEMPT, {**_key(attempt), "kinds": list(kinds)})

    def server_age(self) -> timedelta:
        """Return how long PostgreSQL has been up."""
        row = self._connection.execute(_SERVER_AGE).fetchone()
        return timedelta(0) if row is None else row.age

    def next_due(self, kinds: Sequence[str]) -> NextTimer | None:
        """Return when the next timer of these kinds is due; None if there is none."""
        row = self._connection.execute(_NEXT, {"kinds": list(kinds)}).fetchone()
        return None if row is None else NextTimer(due_epoch=row.due_epoch, seconds=row.seconds)


def _key(attempt: StepAttempt) -> dict[str, Any]:
    return {"run_id": attempt.run_id, "position": attempt.position, "attempt": attempt.attempt}


def _timer(row: Any) -> Timer:
    return Timer(
        kind=row.kind,
        due_at=row.due_at,
        late=row.late,
        run_id=None if row.run_id is None else RunId(row.run_id),
        position=row.position,
        attempt=row.attempt,
        schedule_id=row.schedule_id,
        data=row.data,
    )

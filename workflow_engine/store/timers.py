"""Take timers that have come due."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from psycopg import Connection

from workflow_engine.ids import RunId
from workflow_engine.model.timers import Timer
from workflow_engine.store.statements import statement

_TAKE_DUE = statement("take_due_timers")
_NEXT = statement("next_timer")
_SET = statement("set_timer")


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

    def next_due(self, kinds: Sequence[str]) -> NextTimer | None:
        """Return when the next timer of these kinds is due; None if there is none."""
        row = self._connection.execute(_NEXT, {"kinds": list(kinds)}).fetchone()
        return None if row is None else NextTimer(due_epoch=row.due_epoch, seconds=row.seconds)


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

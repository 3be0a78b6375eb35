"""Hand out steps that are ready."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from psycopg import Connection

from workflow_engine.definitions.policies import Priority
from workflow_engine.ids import RunId
from workflow_engine.store.statements import statement
from workflow_engine.store.steps import DueStep, due_step

_DISPATCH_READY = statement("dispatch_ready")
_FIND_OVERLOOKED = statement("find_overlooked")
_YOUNGEST_READY = statement("youngest_ready")


@dataclass(frozen=True, slots=True, kw_only=True)
class Overlooked:
    """A run with steps that have been ready for so long that nobody can have been told."""

    run_id: RunId
    steps: int


class Readiness:
    """Steps that are ready, and the view of them."""

    def __init__(self, connection: Connection[Any]) -> None:
        """Work on the given connection."""
        self._connection = connection

    def dispatch(
        self,
        limit: int | None,
        run_ids: Sequence[RunId] | None = None,
        *,
        aging: timedelta = timedelta(0),
        relaxed: bool = False,
    ) -> list[DueStep]:
        """Move up to ``limit`` steps that are ready, of these runs or of any, to ``dispatched``.

        They come most urgent first, equals as they became due; those that another transaction is moving are left to it.
        Each ``aging`` that a step has waited makes it more urgent by a rank, up to ``critical``; 0: age does not count.
        With ``relaxed``, the transaction's commit does not wait for the disk.
        """
        asked = {
            "limit": limit,
            "run_ids": None if run_ids is None else list(run_ids),
            "aging": aging.total_seconds(),
            "highest": Priority.CRITICAL.rank,
            "relaxed": relaxed,
        }
        rows = self._connection.execute(_DISPATCH_READY, asked).fetchall()
        rows.sort(key=lambda row: (-row.priority, row.due_at, row.run_id, row.position))
        return [due_step(row, row.due_at, row.waited) for row in rows]

    def find_overlooked(self, age: timedelta, limit: int) -> list[Overlooked]:
        """Return the runs of up to ``limit`` steps that have been ready for at least ``age``, oldest first."""
        rows = self._connection.execute(_FIND_OVERLOOKED, {"age": age, "limit": limit})
        return [Overlooked(run_id=RunId(row.run_id), steps=row.steps) for row in rows]

    def seconds_until_overlooked(self, age: timedelta) -> float | None:
        """Return how long until a step that is ready now will have been so for ``age``; None if there is none."""
        row = self._connection.execute(_YOUNGEST_READY, {"age": age}).fetchone()
        return None if row is None else row.seconds

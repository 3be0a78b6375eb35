"""Move back what had ended, because failed steps of a run are retried."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from psycopg import Connection

from workflow_engine.ids import RunId
from workflow_engine.model.step import StepState
from workflow_engine.store.hot_steps import Settle
from workflow_engine.store.statements import statement
from workflow_engine.store.steps import Steps

_LOCK = statement("lock_steps")
_REQUEUE = statement("requeue_steps")
_RESTORE = statement("restore_steps")
_RESET_SETTLE = statement("reset_settle")
_PAUSE_STEPS = statement("pause_steps")
_UNPAUSE_STEPS = statement("unpause_steps")
_RETRY_RUN = statement("retry_run")


@dataclass(frozen=True, slots=True, kw_only=True)
class LockedStep:
    """A step, finished or not, whose row we hold."""

    position: int
    state: StepState
    attempt: int
    error: Mapping[str, Any] | None
    """Of its last attempt that failed: ``error_class``, ``message``, ``traceback``."""
    finished_at: datetime | None


class Retrying:
    """The ``steps`` and ``runs`` tables, on the way back."""

    def __init__(self, connection: Connection[Any]) -> None:
        """Work on the given connection."""
        self._connection = connection

    def lock(self, run_id: RunId) -> list[LockedStep]:
        """Hold every step of a run until the transaction ends; nobody else moves many of its steps meanwhile."""
        Steps(self._connection).hold_first(run_id)
        rows = self._connection.execute(_LOCK, {"run_id": run_id})
        return [LockedStep(**{**row._asdict(), "state": StepState(row.state)}) for row in rows]

    def requeue(self, run_id: RunId, positions: Sequence[int]) -> None:
        """Make held steps ready that had failed or were cancelled, with all their attempts before them."""
        self._connection.execute(_REQUEUE, {"run_id": run_id, "positions": list(positions)})

    def restore(self, run_id: RunId, missing: Mapping[int, int]) -> None:
        """Make held steps wait that were skipped or cancelled: each position for so many of its parents."""
        if missing:
            values = {"run_id": run_id, "positions": list(missing), "missing": list(missing.values())}
            self._connection.execute(_RESTORE, values)

    def reset_settle(self, run_id: RunId, level: Settle) -> None:
        """Say anew what whoever ends one of the held steps must ask."""
        self._connection.execute(_RESET_SETTLE, {"run_id": run_id, "level": level.value})

    def pause_steps(self, run_id: RunId) -> None:
        """Make whoever ends one of the held steps leave what it sets free; not in a run that is ending."""
        self._connection.execute(_PAUSE_STEPS, {"run_id": run_id})

    def resume_steps(self, run_id: RunId, level: Settle) -> None:
        """Say what whoever ends one of the held steps must ask, now that the run is paused no longer."""
        self._connection.execute(_UNPAUSE_STEPS, {"run_id": run_id, "level": level.value})

    def go_on(self, run_id: RunId, *, sinks: int, error: Mapping[str, Any] | None) -> None:
        """Let a held run go on, also one that had failed; ``error`` is the failure that it is left with."""
        stored = None if error is None else json.dumps(error)
        self._connection.execute(_RETRY_RUN, {"run_id": run_id, "sinks": sinks, "error": stored})

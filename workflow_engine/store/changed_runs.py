"""Say something else about runs, and forget those that have ended."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from psycopg import Connection

from workflow_engine.definitions.policies import Priority
from workflow_engine.ids import RunId
from workflow_engine.model.run import FINAL_RUN_STATES, RunState
from workflow_engine.store.statements import statement

_LOCK = statement("lock_run_facts")
_UPDATE = statement("update_run")
_LOCK_WHOLE = statement("lock_runs_whole")
_DELETE = statement("delete_runs")


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFacts:
    """What is said about a run, while we hold it."""

    state: RunState
    plan_id: int
    said: Mapping[str, Any]
    """``priority``, ``title``, ``description``, ``tags``, ``metadata``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WholeRun:
    """A run that we hold, with all its steps."""

    run_id: RunId
    state: RunState
    plan_id: int


class ChangedRuns:
    """Changes of the ``runs`` table that move no run."""

    def __init__(self, connection: Connection[Any]) -> None:
        """Work on the given connection."""
        self._connection = connection

    def lock(self, run_id: RunId) -> RunFacts | None:
        """Hold a run's row until the transaction ends."""
        row = self._connection.execute(_LOCK, {"run_id": run_id}).fetchone()
        if row is None:
            return None
        said = {
            "priority": None if row.priority is None else list(Priority)[row.priority],
            "title": row.title,
            "description": row.description,
            "tags": tuple(row.tags),
            "metadata": row.metadata,
        }
        return RunFacts(state=RunState(row.state), plan_id=row.plan_id, said=said)

    def update(self, run_id: RunId, said: Mapping[str, Any]) -> None:
        """Say all this about a run that we hold."""
        priority: Priority | None = said["priority"]
        self._connection.execute(
            _UPDATE,
            {
                "run_id": run_id,
                **said,
                "priority": None if priority is None else priority.rank,
                "tags": list(said["tags"]),
                "metadata": json.dumps(said["metadata"]),
            },
        )

    def lock_whole(self, run_ids: Sequence[RunId]) -> list[WholeRun]:
        """Hold those of these runs that are there, and all their steps, until the transaction ends."""
        rows = self._connection.execute(_LOCK_WHOLE, {"run_ids": list(run_ids)})
        return [WholeRun(run_id=RunId(row.run_id), state=RunState(row.state), plan_id=row.plan_id) for row in rows]

    def delete(self, run_ids: Sequence[RunId]) -> int:
        """Forget those of these runs that have ended; return how many they were."""
        final = [state.value for state in FINAL_RUN_STATES]
        row = self._connection.execute(_DELETE, {"run_ids": list(run_ids), "final": final}).fetchone()
        return 0 if row is None else int(row.number)

"""Store runs that do part of an earlier one again."""

from collections.abc import Mapping
from typing import Any

from psycopg import Connection

from workflow_engine.ids import RunId
from workflow_engine.model.commands import RerunRun
from workflow_engine.store.statements import statement

_FIND_SUCCEEDED = statement("find_succeeded")
_RERUN = statement("rerun_run")
REUSED = -1
"""In place of a number of parents: the step is not run again."""


class Rerunning:
    """The ``runs`` and ``steps`` tables, copied from earlier rows."""

    def __init__(self, connection: Connection[Any]) -> None:
        """Work on the given connection."""
        self._connection = connection

    def succeeded(self, run_id: RunId) -> set[int]:
        """Return the positions of a run's steps that have succeeded."""
        return {row.position for row in self._connection.execute(_FIND_SUCCEEDED, {"run_id": run_id})}

    def store(self, command: RerunRun, missing: Mapping[int, int], *, sinks: int) -> bool:
        """Store the new run and its steps: each waits for so many parents, or is ``REUSED``.

        Returns:
            False if the idempotency key is taken; nothing is stored.
        """
        row = self._connection.execute(
            _RERUN,
            {
                "run_id": command.run_id,
                "of": command.of,
                "input_digest": command.input_digest,
                "idempotency_key": command.idempotency_key,
                "initiator": command.actor,
                "sinks": sinks,
                "positions": list(missing),
                "missing": list(missing.values()),
            },
        ).fetchone()
        return row is not None

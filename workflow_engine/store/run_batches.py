"""Store many runs at once."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from psycopg import Connection

from workflow_engine.ids import RunId
from workflow_engine.model.commands import SubmitRun
from workflow_engine.model.deadlines import as_seconds
from workflow_engine.store.arrays import integer_array, text_array
from workflow_engine.store.runs import KeyOwner, RootSteps
from workflow_engine.store.statements import statement

_SUBMIT = statement("submit_runs")
_FIND_BY_KEYS = statement("find_runs_by_keys")


@dataclass(frozen=True, slots=True, kw_only=True)
class NewRun:
    """A run to store."""

    command: SubmitRun
    submitted: str
    """The ``run.submitted`` payload."""
    sinks: int
    timeout: timedelta | None
    dispatch: bool
    """Whether its roots are born dispatched, as for ``Runs.submit``."""


class RunBatches:
    """Many runs, and the birth of their steps."""

    def __init__(self, connection: Connection[Any]) -> None:
        """Work on the given connection."""
        self._connection = connection

    def submit(self, runs: Sequence[NewRun], roots: Mapping[int, RootSteps]) -> dict[RunId, datetime]:
        """Store runs with all their steps by one statement; return when, without those whose keys are taken.

        ``roots`` are those of each plan.
        """
        named = [
            (plan_id, name, data)
            for plan_id, each in roots.items()
            for name, data in zip(each.names, each.dispatched, strict=True)
        ]
        rows = self._connection.execute(
            _SUBMIT,
            {
                "runs": "[" + ",".join(_as_json(number, run) for number, run in enumerate(runs)) + "]",
                "root_plans": integer_array(plan_id for plan_id, _, _ in named),
                "root_names": text_array(name for _, name, _ in named),
                "root_data": text_array(data for _, _, data in named),
            },
        )
        return {RunId(row.run_id): row.created_at for row in rows}

    def find_by_keys(self, wanted: Mapping[int, SubmitRun]) -> dict[int, KeyOwner]:
        """Return the runs that have the idempotency keys of these submits, each by the number it is asked with."""
        rows = self._connection.execute(
            _FIND_BY_KEYS,
            {
                "numbers": list(wanted),
                "plan_ids": [command.plan_id for command in wanted.values()],
                "keys": [command.options.idempotency_key for command in wanted.values()],
            },
        )
        return {row.number: KeyOwner(run_id=RunId(row.run_id), input_digest=row.input_digest) for row in rows}


def _as_json(number: int, run: NewRun) -> str:
    """Return a run as ``submit_runs.sql`` reads it; its input is JSON text already, and stays as it is."""
    command, options = run.command, run.command.options
    values = {
        "number": number,
        "run_id": command.run_id,
        "plan_id": command.plan_id,
        "input_digest": command.input_digest,
        "idempotency_key": options.idempotency_key,
        "correlation_id": options.correlation_id or command.run_id,
        "priority": options.priority,
        "title": options.title,
        "description": options.description,
        "tags": options.tags,
        "metadata": options.metadata,
        "agent": options.agent,
        "initiator": options.initiator,
        "traceparent": options.traceparent,
        "sinks": run.sinks,
        "scheduled_at": options.scheduled_at,
        "due_at": options.due_at,
        "remind_before": as_seconds(options.remind_before),
        "timeout": None if run.timeout is None else run.timeout.total_seconds(),
        "expires_at": options.expires_at,
        "schedule_id": command.schedule_id,
        "dispatch": run.dispatch,
    }
    given = {name: value for name, value in values.items() if value is not None and value not in ((), [], {})}
    text = json.dumps(given, ensure_ascii=False, default=datetime.isoformat)
    return f'{text[:-1]}, "input": {command.input}, "submitted": {run.submitted}}}'

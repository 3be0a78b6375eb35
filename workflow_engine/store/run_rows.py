"""Rows of ``runs`` as records."""

from datetime import timedelta
from typing import Any, Final

from workflow_engine.definitions.policies import Priority
from workflow_engine.ids import RunId
from workflow_engine.model.records import RunRecord, RunSummary
from workflow_engine.model.run import RunState
from workflow_engine.store.deadlines import lengths
from workflow_engine.store.tables.runs import runs

SUMMARY_COLUMNS: Final = [
    runs.c[name]
    for name in [
        "id",
        "namespace",
        "workflow",
        "version",
        "state",
        "error",
        "correlation_id",
        "idempotency_key",
        "title",
        "description",
        "tags",
        "metadata",
        "agent",
        "initiator",
        "priority",
        "created_at",
        "scheduled_at",
        "due_at",
        "remind_before",
        "timeout",
        "expires_at",
        "started_at",
        "finished_at",
        "rerun_of",
    ]
]
WHOLE_COLUMNS: Final = [*SUMMARY_COLUMNS, runs.c.input]


def run_summary(row: Any) -> RunSummary:
    """Return a row of ``SUMMARY_COLUMNS`` as a record."""
    return RunSummary(**_values(row))


def run_record(row: Any) -> RunRecord:
    """Return a row of ``WHOLE_COLUMNS`` as a record."""
    return RunRecord(**_values(row))


def _values(row: Any) -> dict[str, Any]:
    values: dict[str, Any] = row._asdict()
    values["id"] = RunId(str(values["id"]))
    values["state"] = RunState(values["state"])
    values["rerun_of"] = None if values["rerun_of"] is None else RunId(str(values["rerun_of"]))
    values["priority"] = None if values["priority"] is None else list(Priority)[values["priority"]]
    values["remind_before"] = lengths(values["remind_before"])
    values["timeout"] = None if values["timeout"] is None else timedelta(seconds=values["timeout"])
    return values

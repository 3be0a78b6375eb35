"""What the spans of runs tell beyond the events at hand; one query for many runs."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from workflow_engine.ids import RunId
from workflow_engine.store.statements import statement
from workflow_engine.store.transaction import Transaction

_OVERVIEWS = statement("run_overviews")
_NAMES: Final = 100
"""Step names kept of each state."""
_NOTES: Final = 100
"""Events kept of each run."""
_NOTABLE: Final = ("run.started", "run.cancelling", "step.skipped", "step.released", "run.retried", "step.requeued")


@dataclass(frozen=True, slots=True, kw_only=True)
class Note:
    """Something that befell a run."""

    name: str
    step: str | None
    at: datetime
    data: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class RunOverview:
    """A run as a whole."""

    traceparent: str | None
    """The submitter's trace context."""
    steps: Mapping[str, Sequence[str]]
    """The names of steps by state, the first of each."""
    counts: Mapping[str, int]
    """How many steps are in each state."""
    notes: Sequence[Note]


def run_overviews(tx: Transaction, runs: Collection[RunId], *, whole: Collection[RunId]) -> dict[RunId, RunOverview]:
    """Return what is known of ``runs``: of each the submitter's trace, of those in ``whole`` also steps and notes.

    Runs that were deleted since are missing.
    """
    asked = {"run_ids": list(runs), "whole": list(whole), "notable": list(_NOTABLE), "names": _NAMES, "notes": _NOTES}
    return {RunId(row.run_id): _overview(row) for row in tx.connection.execute(_OVERVIEWS, asked)}


def _overview(row: Any) -> RunOverview:
    states = row.by_state or {}
    return RunOverview(
        traceparent=row.traceparent,
        steps={state: each["names"] for state, each in states.items()},
        counts={state: each["count"] for state, each in states.items()},
        notes=[_note(**each) for each in row.notes or ()],
    )


def _note(*, name: str, step: str | None, at: str, data: Mapping[str, Any]) -> Note:
    return Note(name=name, step=step, at=datetime.fromisoformat(at), data=data)

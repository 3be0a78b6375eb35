"""Store schedules, and what became of their occurrences."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from psycopg import Connection

from workflow_engine.ids import RunId
from workflow_engine.model.commands import RunInput
from workflow_engine.model.run import RunState
from workflow_engine.model.schedule import (
    CatchUp,
    OccurrenceRecord,
    Overlap,
    ScheduleRecord,
    Skipped,
    SkipReason,
    Terms,
)
from workflow_engine.store.statements import statement

_INSERT = statement("insert_schedule")
_LOCK = statement("lock_schedule")
_LOCK_DUE = statement("lock_due_schedules")
_SAVE = statement("save_schedule")
_ADVANCE = statement("advance_schedule")
_DELETE = statement("delete_schedule")
_FIND = statement("find_schedule")
_PAGE = statement("page_schedules")
_RECORD = statement("record_occurrences")
_PAGE_OCCURRENCES = statement("page_occurrences")
_PRUNE = statement("prune_occurrences")
_UNFINISHED = statement("unfinished_of_schedule")

PRUNED_AT_ONCE: Final = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class DueSchedule:
    """A schedule that this transaction holds, with what its runs need."""

    record: ScheduleRecord
    input: str
    """JSON text, as it was given."""
    input_digest: str
    now: datetime
    """By PostgreSQL's clock."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UnfinishedRun:
    """A run of a schedule that has not ended."""

    run_id: RunId
    state: RunState


class Schedules:
    """The ``schedules`` and ``occurrences`` tables. A trigger keeps each schedule's timer."""

    def __init__(self, connection: Connection[Any]) -> None:
        """Work on the given connection."""
        self._connection = connection

    def insert(self, namespace: str, name: str, workflow: str, terms: Terms, given: RunInput) -> ScheduleRecord | None:
        """Store a schedule; None if its name is taken."""
        values = _values(terms, given) | {"namespace": namespace, "name": name, "workflow": workflow}
        row = self._connection.execute(_INSERT, values).fetchone()
        return None if row is None else _record(row)

    def lock(self, namespace: str, name: str) -> ScheduleRecord | None:
        """Hold a schedule until the transaction ends; None if there is none of that name."""
        row = self._connection.execute(_LOCK, {"namespace": namespace, "name": name}).fetchone()
        return None if row is None else _record(row)

    def lock_due(self, schedule_ids: Sequence[int]) -> list[DueSchedule]:
        """Hold those of these schedules that are due, until the transaction ends."""
        rows = self._connection.execute(_LOCK_DUE, {"schedule_ids": list(schedule_ids)})
        return [
            DueSchedule(record=_record(row), input=row.input_text, input_digest=row.input_digest, now=row.now)
            for row in rows
        ]

    def save(self, schedule_id: int, terms: Terms, given: RunInput | None = None) -> ScheduleRecord:
        """Change a schedule that this transaction holds, and its input if one is given."""
        values = _values(terms, given) | {"schedule_id": schedule_id, "paused_at": terms.paused_at}
        row = self._connection.execute(_SAVE, values).fetchone()
        if row is None:
            raise LookupError(f"schedule {schedule_id} is gone though it was held")
        return _record(row)

    def advance(self, schedule_id: int, *, next_at: datetime | None, last_at: datetime | None) -> None:
        """Say when a held schedule is due next, and with ``last_at`` what its last occurrence was."""
        self._connection.execute(_ADVANCE, {"schedule_id": schedule_id, "next_at": next_at, "last_at": last_at})

    def delete(self, namespace: str, name: str) -> bool:
        """Delete a schedule and its history; False if there is none of that name."""
        return self._connection.execute(_DELETE, {"namespace": namespace, "name": name}).fetchone() is not None

    def find(self, namespace: str, name: str) -> ScheduleRecord | None:
        """Return a schedule."""
        row = self._connection.execute(_FIND, {"namespace": namespace, "name": name}).fetchone()
        return None if row is None else _record(row)

    def page(self, namespace: str, *, workflow: str | None, after: str, limit: int) -> list[ScheduleRecord]:
        """Return schedules by name, those after ``after``."""
        values = {"namespace": namespace, "workflow": workflow, "after": after, "limit": limit}
        return [_record(row) for row in self._connection.execute(_PAGE, values)]

    def record_fired(self, schedule_id: int, runs: Mapping[datetime, RunId]) -> set[datetime]:
        """Say which run each occurrence starts; return those of which nothing was said before."""
        moments = list(runs)
        return self._record(schedule_id, moments, moments, list(runs.values()), [None] * len(runs))

    def record_skipped(self, schedule_id: int, skipped: Sequence[Skipped]) -> set[datetime]:
        """Say which occurrences start none; return the first of each row of which nothing was said before."""
        firsts, lasts = [each.first for each in skipped], [each.last for each in skipped]
        return self._record(schedule_id, firsts, lasts, [None] * len(firsts), [each.reason for each in skipped])

    def page_occurrences(self, schedule_id: int, *, before: datetime | None, limit: int) -> list[OccurrenceRecord]:
        """Return what became of a schedule's occurrences, the newest first."""
        rows = self._connection.execute(
            _PAGE_OCCURRENCES, {"schedule_id": schedule_id, "before": before, "limit": limit}
        )
        return [
            OccurrenceRecord(**row._asdict() | {"skipped": row.skipped and SkipReason(row.skipped)}) for row in rows
        ]

    def prune(self, schedule_id: int, keep: timedelta) -> None:
        """Forget what became of occurrences longer ago than ``keep``, a thousand at a time."""
        self._connection.execute(_PRUNE, {"schedule_id": schedule_id, "keep": keep, "limit": PRUNED_AT_ONCE})

    def unfinished_runs(self, schedule_id: int, limit: int) -> list[UnfinishedRun]:
        """Return runs of a schedule that have not ended, oldest first."""
        rows = self._connection.execute(_UNFINISHED, {"schedule_id": schedule_id, "limit": limit})
        return [UnfinishedRun(run_id=RunId(row.run_id), state=RunState(row.state)) for row in rows]

    def _record(
        self,
        schedule_id: int,
        moments: Sequence[datetime],
        until: Sequence[datetime],
        run_ids: Sequence[RunId | None],
        skipped: Sequence[SkipReason | None],
    ) -> set[datetime]:
        if not moments:
            return set()
        rows = self._connection.execute(
            _RECORD,
            {
                "schedule_id": schedule_id,
                "occurs_at": list(moments),
                "until": list(until),
                "run_ids": list(run_ids),
                "skipped": [None if each is None else each.value for each in skipped],
            },
        )
        return {row.occurs_at for row in rows}


def _values(terms: Terms, given: RunInput | None) -> dict[str, object]:
    """Return what both a new and a changed schedule say."""
    timing = terms.timing
    return {
        "version": terms.version,
        "input": None if given is None else given.text,
        "input_digest": None if given is None else given.digest,
        "options": json.dumps(dict(terms.options)),
        "cron": timing.cron,
        "rrule": timing.rrule,
        "time_zone": timing.time_zone,
        "starts_at": timing.start,
        "ends_at": timing.end,
        "anchor_at": terms.anchor_at,
        "catch_up": timing.catch_up.value,
        "overlap": timing.overlap.value,
        "next_at": terms.next_at,
    }


def _record(row: Any) -> ScheduleRecord:
    fields = {name: getattr(row, name) for name in ScheduleRecord.__dataclass_fields__}
    return ScheduleRecord(**fields | {"catch_up": CatchUp(row.catch_up), "overlap": Overlap(row.overlap)})

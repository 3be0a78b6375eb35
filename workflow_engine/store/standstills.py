"""Find runs that stand still."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from psycopg import Connection

from workflow_engine.ids import RunId
from workflow_engine.model.run import RunState
from workflow_engine.store.statements import statement

_FIND = statement("find_standstills")
_TELL = statement("tell_standstills")

LOOKED: Final = 2_000
"""Unfinished runs that one look goes through."""
_NO_RUN: Final = "00000000-0000-0000-0000-000000000000"

Place = tuple[datetime, str]
"""Of a run among the unfinished ones: when it was submitted, and its id."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Standstill:
    """A run that stands still."""

    run_id: RunId
    workflow: str
    version: str
    state: RunState
    created_at: datetime
    since: datetime
    stands_for: timedelta
    limit: timedelta
    is_told: bool
    """Whether the event of this standstill was fired."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StandstillPage:
    """What one look found."""

    found: Sequence[Standstill]
    following: Place | None
    """Where the next look goes on; None if all unfinished runs were looked at."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StandstillQuestion:
    """Which runs count as standing still."""

    limit: timedelta
    """How long one may, whose workflow does not say."""
    lease: timedelta
    """How long a living worker may be silent."""
    part: float
    """Of its limit, from which on a run is found."""
    namespace: str | None = None


class Standstills:
    """Runs of which nothing moves."""

    def __init__(self, connection: Connection[Any]) -> None:
        """Work on the given connection."""
        self._connection = connection

    def find(
        self, wanted: StandstillQuestion, *, limit: int, after: Place | None = None, looked: int = LOOKED
    ) -> StandstillPage:
        """Return up to ``limit`` runs that stand still, of the next ``looked`` unfinished ones after a place."""
        moment, run_id = after or (datetime.min.replace(year=1, month=1, day=2, tzinfo=UTC), _NO_RUN)
        rows = self._connection.execute(
            _FIND,
            {
                "default_limit": wanted.limit.total_seconds(),
                "lease": wanted.lease,
                "part": wanted.part,
                "namespace": wanted.namespace,
                "after_at": moment,
                "after_id": run_id,
                "looked": looked,
                "limit": limit,
            },
        ).fetchall()
        found = [_standstill(row) for row in rows if row.run_id is not None]
        if len(found) == limit:
            return StandstillPage(found=found, following=(found[-1].created_at, found[-1].run_id))
        more = bool(rows) and rows[0].number == looked
        return StandstillPage(found=found, following=(rows[0].looked_at, rows[0].looked_id) if more else None)

    def tell(self, standstills: Sequence[tuple[RunId, datetime]]) -> set[RunId]:
        """Remember that these are told of; return those of which that is news."""
        asked = {"run_ids": [each[0] for each in standstills], "moments": [each[1] for each in standstills]}
        return {RunId(row.run_id) for row in self._connection.execute(_TELL, asked)}


def _standstill(row: Any) -> Standstill:
    return Standstill(
        run_id=RunId(row.run_id),
        workflow=row.workflow,
        version=row.version,
        state=RunState(row.state),
        created_at=row.created_at,
        since=row.since,
        stands_for=row.stands_for,
        limit=row.stale_after,
        is_told=row.stale_told is not None and row.stale_told >= row.since,
    )

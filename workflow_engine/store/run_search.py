"""Pages of runs by any filter. Each costs at most four statements, and looks at a bounded number of runs."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from psycopg import Connection
from sqlalchemy import Dialect, Select, func, literal_column, select
from sqlalchemy.dialects.postgresql.psycopg import PGDialect_psycopg

from workflow_engine.ids import RunId
from workflow_engine.model.pages import Place
from workflow_engine.model.records import RunSummary
from workflow_engine.model.run_filter import RunOrder
from workflow_engine.store.run_drivers import Driver, RunQuestion, bounds, conditions, drivers_for
from workflow_engine.store.run_rows import SUMMARY_COLUMNS, WHOLE_COLUMNS, run_record, run_summary
from workflow_engine.store.tables.runs import runs

LOOK: Final = 2_500
"""Runs that one page looks at, at most."""
_FEW: Final = 1_000
"""So many are few: to be read and sorted, and not worth looking for fewer."""
_DIALECT: Dialect = PGDialect_psycopg()  # type: ignore[no-untyped-call]  # SQLAlchemy's own gap
_BOUNDS_OF_THE_WALK: Final = frozenset({"created_after", "created_before"})


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundRuns:
    """A page, and where the next one begins; None if there is none."""

    runs: Sequence[RunSummary]
    next: Place | None


class RunSearch:
    """Questions about many runs.

    A list is walked along one index: that of the filter's parts that has the fewest entries, as counting a few of each
    tells. What the walk meets is compared with the whole filter. So what is rare is found at once, and what is common
    soon; where two common things are asked for that hardly ever meet, a page ends early, and the next goes on there.
    """

    def __init__(self, connection: Connection[Any]) -> None:
        """Ask on the given connection."""
        self._connection = connection

    def page(self, question: RunQuestion, limit: int, *, with_input: bool = False) -> FoundRuns:
        """Return the next runs that fit, at most ``limit``."""
        driver = self._choose(question)
        is_exact = question.wanted.said - _BOUNDS_OF_THE_WALK <= driver.covers
        depth = max(LOOK, limit + 1) if driver.is_ordered else _FEW
        near = driver.candidates(question, depth).subquery()
        query = (
            select(*(WHOLE_COLUMNS if with_input else SUMMARY_COLUMNS))
            .select_from(near.join(runs, runs.c.id == near.c.id))
            .where(*conditions(question), *bounds(question, near.c.created_at, near.c.id))
            .order_by(*_order(near, question.order))
            .limit(limit + 1)
        )
        rows = self._all(query)
        found = [run_record(row) if with_input else run_summary(row) for row in rows[:limit]]
        if len(rows) > limit:
            return FoundRuns(runs=found, next=Place(moment=found[-1].created_at, run_id=found[-1].id))
        far = None if is_exact or not driver.is_ordered else self._end_of_walk(driver, question, depth)
        return FoundRuns(runs=found, next=far)

    def count(self, question: RunQuestion, most: int) -> int:
        """Return how many runs fit, or ``most`` if they are more; of one namespace, bounded by ``most`` alone."""
        near = self._choose(question).candidates(question, most).subquery()
        query = select(func.count()).select_from(near.join(runs, runs.c.id == near.c.id)).where(*conditions(question))
        return int(self._all(query)[0][0])

    def _choose(self, question: RunQuestion) -> Driver:
        drivers = drivers_for(question)
        said = question.wanted.said - _BOUNDS_OF_THE_WALK
        for driver in drivers:
            if driver.is_ordered and said <= driver.covers:
                return driver  # all that it finds fits: there is no better way
        counts = [
            select(func.count())
            .select_from(driver.candidates(question, _FEW + (not driver.is_ordered)).subquery())
            .scalar_subquery()
            .label(f"way_{number}")
            for number, driver in enumerate(drivers)
        ]
        (numbers,) = self._all(select(*counts))
        ways = [
            (number, way)
            for way, (number, driver) in enumerate(zip(numbers, drivers, strict=True))
            if driver.is_ordered or number <= _FEW
        ]
        return drivers[min(ways)[1]]

    def _end_of_walk(self, driver: Driver, question: RunQuestion, depth: int) -> Place | None:
        """Return where a walk ended that went as far as it may; None if there was nothing further."""
        rows = self._all(driver.candidates(question, 1).offset(literal_column(str(depth - 1))))
        return Place(moment=rows[0].created_at, run_id=RunId(str(rows[0].id))) if rows else None

    def _all(self, query: Select[Any]) -> list[Any]:
        compiled = query.compile(dialect=_DIALECT, compile_kwargs={"render_postcompile": True})
        return self._connection.execute(str(compiled).encode(), dict(compiled.params)).fetchall()


def _order(near: Any, order: RunOrder) -> Sequence[Any]:
    if order is RunOrder.NEWEST:
        return near.c.created_at.desc(), near.c.id.desc()
    return near.c.created_at, near.c.id

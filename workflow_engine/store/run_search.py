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
from workflow_engine.store.run_drivers import Driver, RunQuestion, bounds, conditions, drivers_for, in_order
from workflow_engine.store.run_rows import SUMMARY_COLUMNS, WHOLE_COLUMNS, run_record, run_summary

LOOK: Final = 4_000
"""Runs that one page looks at, at most, where it comes by them one after the other; if not, ``FEW``."""
FEW: Final = 1_000
"""So many are few: to be found one by one and sorted, and not worth looking for fewer."""
_DIALECT: Dialect = PGDialect_psycopg()  # type: ignore[no-untyped-call]  # SQLAlchemy's own gap
_BOUNDS_OF_THE_WALK: Final = frozenset({"created_after", "created_before"})


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundRuns:
    """A page, and where the next one begins; None if there is none."""

    runs: Sequence[RunSummary]
    next: Place | None


@dataclass(frozen=True, slots=True)
class _Way:
    """How a page is found."""

    driver: Driver
    is_whole: bool
    """Whether a walk to the end of what it may look at misses nothing."""

    @property
    def depth(self) -> int:
        """How many runs to look at."""
        return LOOK if self.driver.is_direct and self.driver.is_ordered else FEW


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
        columns = WHOLE_COLUMNS if with_input else SUMMARY_COLUMNS
        way = self._choose(question)
        near = way.driver.walked(question, max(way.depth, limit + 1), columns)
        query = (
            select(*(near.c[column.name] for column in columns))
            .where(*conditions(question, near.c), *bounds(question, near.c.created_at, near.c.id))
            .order_by(*in_order(question.order, near.c.created_at, near.c.id))
            .limit(limit + 1)
        )
        rows = self.ask(query)
        found = [run_record(row) if with_input else run_summary(row) for row in rows[:limit]]
        if len(rows) > limit:
            return FoundRuns(runs=found, next=Place(moment=found[-1].created_at, run_id=found[-1].id))
        far = None if way.is_whole else self._end_of_walk(way.driver, question, max(way.depth, limit + 1))
        return FoundRuns(runs=found, next=far)

    def _choose(self, question: RunQuestion) -> "_Way":
        drivers = drivers_for(question)
        said = question.wanted.said - _BOUNDS_OF_THE_WALK
        for driver in drivers:
            if driver.is_ordered and said <= driver.covers:
                return _Way(driver, is_whole=True)  # all that it finds fits: there is no better way
        counts = [
            select(func.count()).select_from(driver.candidates(question, FEW + 1).subquery()).scalar_subquery()
            for driver in drivers
        ]
        (numbers,) = self.ask(select(*(count.label(f"way_{place}") for place, count in enumerate(counts))))
        few, way = min(
            (min(number, FEW + 1), place)
            for place, (number, driver) in enumerate(zip(numbers, drivers, strict=True))
            if driver.is_ordered or number <= FEW
        )
        return _Way(drivers[way], is_whole=few <= FEW)

    def _end_of_walk(self, driver: Driver, question: RunQuestion, depth: int) -> Place | None:
        """Return where a walk ended that went as far as it may; None if there was nothing further."""
        rows = self.ask(
            driver.candidates(question, depth).limit(literal_column("1")).offset(literal_column(str(depth - 1)))
        )
        return Place(moment=rows[0].created_at, run_id=RunId(str(rows[0].id))) if rows else None

    def way_to(self, question: RunQuestion) -> Driver:
        """Return the best way to the runs that fit."""
        return self._choose(question).driver

    def ask(self, query: Select[Any]) -> list[Any]:
        """Return a query's rows."""
        compiled = query.compile(dialect=_DIALECT, compile_kwargs={"render_postcompile": True})
        return self._connection.execute(str(compiled).encode(), dict(compiled.params)).fetchall()

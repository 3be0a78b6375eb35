"""Pages of runs by any filter. Each costs at most four statements, and looks at a bounded number of runs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

from psycopg import Connection
from sqlalchemy import Dialect, Integer, Select, bindparam, func, literal_column, select
from sqlalchemy.dialects.postgresql.psycopg import PGDialect_psycopg

from workflow_engine.ids import RunId
from workflow_engine.model.pages import Place
from workflow_engine.model.records import RunSummary
from workflow_engine.store.run_drivers import SHAPES_KEPT, Driver, bounds, conditions, drivers_for, in_order
from workflow_engine.store.run_questions import RunQuestion, Shape
from workflow_engine.store.run_rows import SUMMARY_COLUMNS, WHOLE_COLUMNS, run_record, run_summary

LOOK: Final = 4_000
"""Runs that one page looks at, at most, where it comes by them one after the other; if not, ``FEW``."""
FEW: Final = 1_000
"""So many are few: to be found one by one and sorted, and not worth looking for fewer."""
_DIALECT: Dialect = PGDialect_psycopg()  # type: ignore[no-untyped-call]  # SQLAlchemy's own gap


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundRuns:
    """A page, and where the next one begins; None if there is none."""

    runs: Sequence[RunSummary]
    next: Place | None


@dataclass(frozen=True, slots=True)
class Way:
    """How a page is found."""

    driver: Driver
    number: int
    """Its place among those for the question."""
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
        values = {**question.values, "most": limit + 1}
        way = self.way_to(question)
        depth = max(way.depth, limit + 1)
        rows = self._ask(_page(question.shape, way.number, depth, with_input), values)
        found = [run_record(row) if with_input else run_summary(row) for row in rows[:limit]]
        if len(rows) > limit:
            return FoundRuns(runs=found, next=Place(moment=found[-1].created_at, run_id=found[-1].id))
        ends = [] if way.is_whole else self._ask(_end_of_walk(question.shape, way.number, depth), values)
        return FoundRuns(
            runs=found, next=Place(moment=ends[0].created_at, run_id=RunId(str(ends[0].id))) if ends else None
        )

    def way_to(self, question: RunQuestion) -> Way:
        """Return the best way to the runs that fit."""
        shape = question.shape
        drivers = drivers_for(shape)
        for number, driver in enumerate(drivers):
            if driver.is_ordered and shape.beside_the_walk <= driver.covers:
                return Way(driver, number, is_whole=True)  # all that it finds fits: there is no better way
        (numbers,) = self._ask(_counts(shape, FEW), question.values)
        few, way = min(
            (min(number, FEW + 1), place)
            for place, (number, driver) in enumerate(zip(numbers, drivers, strict=True))
            if driver.is_ordered or number <= FEW
        )
        return Way(drivers[way], way, is_whole=few <= FEW)

    def ask(self, query: Select[Any], question: RunQuestion) -> list[Any]:
        """Return a query's rows."""
        return self._ask(_written(query), question.values)

    def _ask(self, written: "_Written", values: Mapping[str, Any]) -> list[Any]:
        return self._connection.execute(written.text, {name: values[name] for name in written.names}).fetchall()


@dataclass(frozen=True, slots=True)
class _Written:
    """A statement, and the names of its values."""

    text: bytes
    names: tuple[str, ...]


def _written(query: Select[Any]) -> _Written:
    compiled = query.compile(dialect=_DIALECT)
    return _Written(str(compiled).encode(), tuple(compiled.params))


@lru_cache(maxsize=SHAPES_KEPT)
def _page(shape: Shape, way: int, depth: int, with_input: bool) -> _Written:
    columns = WHOLE_COLUMNS if with_input else SUMMARY_COLUMNS
    near = drivers_for(shape)[way].walked(shape, depth, columns)
    return _written(
        select(*(near.c[column.name] for column in columns))
        .where(*conditions(shape, near.c), *bounds(shape, near.c.created_at, near.c.id))
        .order_by(*in_order(shape.order, near.c.created_at, near.c.id))
        .limit(bindparam("most", type_=Integer()))
    )


@lru_cache(maxsize=SHAPES_KEPT)
def _counts(shape: Shape, few: int) -> _Written:
    """Count a few of what each way finds, one more than are few."""
    counts = [
        select(func.count()).select_from(driver.candidates(shape, few + 1).subquery()).scalar_subquery()
        for driver in drivers_for(shape)
    ]
    return _written(select(*(count.label(f"way_{place}") for place, count in enumerate(counts))))


@lru_cache(maxsize=SHAPES_KEPT)
def _end_of_walk(shape: Shape, way: int, depth: int) -> _Written:
    """Find where a walk ends that goes as far as it may; nothing, if there is nothing further."""
    walk = drivers_for(shape)[way].candidates(shape, depth)
    return _written(walk.limit(literal_column("1")).offset(literal_column(str(depth - 1))))

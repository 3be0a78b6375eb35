"""Statistics of runs: a walk over a bounded number of them."""

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from psycopg import Connection
from sqlalchemy import CTE, ColumnElement, Float, cast, func, literal_column, select, tuple_, union_all

from workflow_engine.model.run import RunState
from workflow_engine.model.statistics import MOST_LOOKED_AT, MOST_LOOKED_UP, Hour, RunStatistics, WorkflowStatistics
from workflow_engine.store.run_drivers import conditions
from workflow_engine.store.run_questions import RunQuestion
from workflow_engine.store.run_rows import SUMMARY_COLUMNS
from workflow_engine.store.run_search import RunSearch


def run_statistics(
    connection: Connection[Any], question: RunQuestion, since: datetime, until: datetime
) -> RunStatistics:
    """Return statistics of the runs that fit, which were submitted between two moments; of many the newest."""
    search = RunSearch(connection)
    way, shape = search.way_to(question).driver, question.shape
    most = MOST_LOOKED_AT if way.is_direct else MOST_LOOKED_UP
    looked = way.walked(shape, most, SUMMARY_COLUMNS)
    columns = (looked.c[name] for name in ("workflow", "state", "created_at", "started_at", "finished_at"))
    fitting = select(*columns).where(*conditions(shape, looked.c)).cte("fitting")
    walk = way.candidates(shape, most).subquery()
    (number,) = search.ask(select(func.count().label("looked")).select_from(walk), question)
    numbers, hours = search.ask(_numbers(fitting), question), search.ask(_hours(fitting), question)
    states: dict[str | None, dict[RunState, int]] = defaultdict(dict)
    for row in numbers:
        if row.state is not None:
            states[row.workflow][RunState(row.state)] = row.runs
            states[None][RunState(row.state)] = states[None].get(RunState(row.state), 0) + row.runs
    (whole,) = [row for row in numbers if row.workflow is None]
    return RunStatistics(
        namespace=question.namespace,
        since=since,
        until=until,
        complete=number.looked < most,
        runs=whole.runs,
        states=states[None],
        p50_seconds=whole.p50,
        p95_seconds=whole.p95,
        workflows=_workflows(numbers, states),
        hours=[Hour(begin=row.begin, submitted=row.submitted, finished=row.finished) for row in hours],
    )


def _workflows(numbers: Sequence[Any], states: dict[str | None, dict[RunState, int]]) -> list[WorkflowStatistics]:
    found = [
        WorkflowStatistics(
            workflow=row.workflow,
            runs=row.runs,
            states=states[row.workflow],
            p50_seconds=row.p50,
            p95_seconds=row.p95,
        )
        for row in numbers
        if row.workflow is not None and row.state is None
    ]
    return sorted(found, key=lambda each: (-each.runs, each.workflow))


def _numbers(fitting: CTE) -> Any:
    """Count by workflow and state, by workflow, and all; what is not grouped by is null."""
    took = cast(func.extract("epoch", fitting.c.finished_at - fitting.c.started_at), Float)
    return select(
        fitting.c.workflow,
        fitting.c.state,
        func.count().label("runs"),
        _percentile(0.5, took).label("p50"),
        _percentile(0.95, took).label("p95"),
    ).group_by(
        func.grouping_sets(
            tuple_(fitting.c.workflow, fitting.c.state), tuple_(fitting.c.workflow), literal_column("()")
        )
    )


def _percentile(part: float, value: ColumnElement[Any]) -> ColumnElement[Any]:
    return func.percentile_disc(literal_column(str(part))).within_group(value)


def _hours(fitting: CTE) -> Any:
    """Count what was submitted and what finished, by hour."""
    one: ColumnElement[int] = literal_column("1")
    none: ColumnElement[int] = literal_column("0")
    moments = union_all(
        select(fitting.c.created_at.label("moment"), one.label("submitted"), none.label("finished")),
        select(fitting.c.finished_at, none, one).where(fitting.c.finished_at.is_not(None)),
    ).subquery()
    begin = func.date_trunc(literal_column("'hour'"), moments.c.moment, literal_column("'UTC'")).label("begin")
    return (
        select(begin, func.sum(moments.c.submitted).label("submitted"), func.sum(moments.c.finished).label("finished"))
        .group_by(literal_column("1"))
        .order_by(literal_column("1"))
    )

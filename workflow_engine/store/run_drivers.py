"""The ways to the runs that a filter means: for each an index, most of them in the order of the list."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

from sqlalchemy import (
    BigInteger,
    Column,
    ColumnElement,
    DateTime,
    FromClause,
    Integer,
    Select,
    Text,
    Uuid,
    and_,
    any_,
    bindparam,
    cast,
    func,
    literal_column,
    select,
    true,
    tuple_,
    union_all,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

from workflow_engine.model.run_filter import RunOrder
from workflow_engine.store.run_questions import Shape
from workflow_engine.store.tables.runs import plans, run_labels, runs
from workflow_engine.store.tables.schedules import schedules

SHAPES_KEPT: Final = 500
"""Forms of questions whose statements a process keeps: to make one costs several times what it takes to ask it."""
_OURS: Final = runs.c.namespace == bindparam("namespace")
_COMPARED: Final = ("id", "created_at", "namespace", "state", "schedule_id")
"""Columns that conditions may be about, beside those that every list has."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Driver:
    """A way to the runs that fit, and perhaps to others: ``id`` and ``created_at`` of each."""

    name: str
    branches: tuple[Select[Any], ...]
    """Each by an index; together all that may fit."""
    covers: frozenset[str] = frozenset()
    """The fields of the filter that each run found by it fits."""
    is_ordered: bool = True
    """Whether its index has the order of the list; if not, all that it finds must be read and sorted."""

    def candidates(self, shape: Shape, limit: int) -> Select[Any]:
        """Return the first ``limit`` that it finds in the order of the list; any, if it does not know that order."""
        return self._first(self.branches, shape, limit)

    @property
    def is_direct(self) -> bool:
        """Whether it comes by the rows of the runs themselves: to find each by its id costs several times as much."""
        return all(branch.get_final_froms() == [runs] for branch in self.branches)

    def walked(self, shape: Shape, limit: int, columns: Sequence[Column[Any]]) -> FromClause:
        """Return the same with ``columns`` of the runs, and what their conditions are about."""
        wanted = list(dict.fromkeys([*columns, *(runs.c[name] for name in _COMPARED)]))
        if self.is_direct:
            whole = [branch.with_only_columns(*wanted) for branch in self.branches]
            return self._first(whole, shape, limit).subquery()
        near = self.candidates(shape, limit).subquery()
        others = [column for column in wanted if column.name not in near.c]  # by those the order is known
        return select(*near.c, *others).select_from(near.join(runs, runs.c.id == near.c.id)).subquery()

    def _first(self, branches: Sequence[Select[Any]], shape: Shape, limit: int) -> Select[Any]:
        if len(branches) > 1:  # each in order and bounded, so that PostgreSQL merges them and stops as soon as it may
            found = union_all(*(self._first([each], shape, limit) for each in branches)).subquery()
            branches = [select(*found.c)]
        (query,) = branches
        if self.is_ordered:
            columns = query.selected_columns
            query = query.order_by(*in_order(shape.order, columns.created_at, columns.id))
        return query.limit(_literal(limit))


def in_order(order: RunOrder, moment: Any, run_id: Any) -> tuple[Any, Any]:
    """Return what to order by."""
    return (moment.desc(), run_id.desc()) if order is RunOrder.NEWEST else (moment, run_id)


def _literal(number: int) -> ColumnElement[int]:
    """Return a number that the planner sees: a plan is made for all values."""
    return literal_column(str(number), Integer)


@lru_cache(maxsize=SHAPES_KEPT)
def drivers_for(shape: Shape) -> tuple[Driver, ...]:
    """Return the ways to what is wanted, those that usually lead to few runs first."""
    found = [*_by_key(shape), *_by_labels(shape), *_by_moments(shape)]
    if "workflow" in shape.said:
        found.append(_by_workflow(shape))
    if shape.phases:
        found.append(_by_states(shape))
    return (*found, Driver(name="all", branches=(_of_runs(shape, _OURS),)))


def _of_runs(shape: Shape, *conditions: ColumnElement[bool]) -> Select[Any]:
    query = select(runs.c.id, runs.c.created_at).where(*conditions)
    return query.where(*bounds(shape, runs.c.created_at, runs.c.id))


def _somewhere(*conditions: ColumnElement[bool]) -> Select[Any]:
    """Without the bounds of the walk: they would tempt the planner to go along the list after all."""
    return select(runs.c.id, runs.c.created_at).where(*conditions)


def _of_label(shape: Shape, kind: str, value: Any) -> Select[Any]:
    label = func.wfe_label(cast(bindparam("namespace"), Text), cast(literal_column(f"'{kind}'"), Text), value)
    query = select(run_labels.c.run_id.label("id"), run_labels.c.created_at).where(
        run_labels.c.label == cast(label, BigInteger)
    )
    return query.where(*bounds(shape, run_labels.c.created_at, run_labels.c.run_id))


def bounds(shape: Shape, moment: Any, run_id: Any) -> Iterator[ColumnElement[bool]]:
    """Yield what bounds the walk along an index: behind the last page, within what is wanted.

    One of the two says where it begins. Of both PostgreSQL takes the moment, and goes from there to the place.
    """
    said = shape.said - shape.beginnings if shape.is_later else shape.said
    if "created_after" in said:
        yield moment >= _moment("created_after")
    if "created_before" in said:
        yield moment < _moment("created_before")
    if "finished_before" in said:
        yield moment < _moment("finished_before")  # what ended by then was submitted by then
    if shape.is_later:
        here, there = tuple_(moment, run_id), tuple_(_moment("after_moment"), bindparam("after_id", type_=Uuid()))
        yield here < there if shape.order is RunOrder.NEWEST else here > there


def _moment(name: str) -> ColumnElement[Any]:
    return bindparam(name, type_=DateTime(timezone=True))


def _by_key(shape: Shape) -> Iterator[Driver]:
    """An idempotency key is unique in a workflow; of those there are not many."""
    if "idempotency_key" not in shape.said:
        return
    known = select(plans.c.workflow).where(plans.c.namespace == bindparam("namespace")).distinct().subquery()
    query = _somewhere(
        _OURS, runs.c.workflow == known.c.workflow, runs.c.idempotency_key == bindparam("idempotency_key")
    )
    yield Driver(name="key", branches=(query,), covers=frozenset({"idempotency_key"}), is_ordered=False)


def _by_labels(shape: Shape) -> Iterator[Driver]:
    if "correlation_id" in shape.said:
        yield _by_correlation(shape)
    for name, kind, value in (
        ("schedule", "schedule", func.to_jsonb(_schedule())),
        ("rerun_of", "rerun", func.to_jsonb(cast(bindparam("rerun_of", type_=Uuid()), Text))),
    ):
        if name in shape.said:
            yield Driver(name=name, branches=(_of_label(shape, kind, value),), covers=frozenset({name}))
    for number in range(shape.parts):
        label = _of_label(shape, "metadata", cast(bindparam(f"part_{number}"), JSONB))
        yield Driver(name="metadata", branches=(label,), covers=frozenset({"metadata"} if shape.parts == 1 else ()))
    for number in range(shape.tags):
        label = _of_label(shape, "tag", _text(f"tag_{number}"))
        yield Driver(name="tag", branches=(label,), covers=frozenset({"tags"} if shape.tags == 1 else ()))
    for name in ("agent", "initiator"):
        if name in shape.said:
            yield Driver(name=name, branches=(_of_label(shape, name, _text(name)),), covers=frozenset({name}))


def _text(name: str) -> ColumnElement[Any]:
    return func.to_jsonb(cast(bindparam(name), Text))


def _schedule() -> Any:
    return (
        select(schedules.c.id)
        .where(schedules.c.namespace == bindparam("namespace"), schedules.c.name == bindparam("schedule"))
        .scalar_subquery()
    )


def _by_correlation(shape: Shape) -> Driver:
    """A run that was not given a correlation id has its own for one, and no label of it."""
    branches = [_of_label(shape, "correlation", _text("correlation_id"))]
    if shape.may_be_own:
        branches.append(_of_runs(shape, runs.c.id == bindparam("own_id", type_=Uuid())))
    return Driver(name="correlation", branches=tuple(branches), covers=frozenset({"correlation_id"}))


def _by_moments(shape: Shape) -> Iterator[Driver]:
    if "due_before" in shape.said:
        query = _somewhere(_OURS, runs.c.due_at < _moment("due_before"))
        yield Driver(name="due", branches=(query,), covers=frozenset({"due_before"}), is_ordered=False)
        yield Driver(name="to do by", branches=(_of_label(shape, "due", func.to_jsonb(true())),))
    if finished := shape.said & {"finished_after", "finished_before"}:
        within: list[ColumnElement[bool]] = [runs.c.finished_at.is_not(None)]
        within += [runs.c.finished_at >= _moment(name) for name in finished if name == "finished_after"]
        within += [runs.c.finished_at < _moment(name) for name in finished if name == "finished_before"]
        covers = frozenset({"finished_after", "finished_before"})
        yield Driver(name="finished", branches=(_somewhere(_OURS, *within),), covers=covers, is_ordered=False)


def _by_workflow(shape: Shape) -> Driver:
    if "version" not in shape.said:
        query = _of_runs(shape, _OURS, runs.c.workflow == bindparam("workflow"))
        return Driver(name="workflow", branches=(query,), covers=frozenset({"workflow"}))
    named = and_(plans.c.namespace == bindparam("namespace"), plans.c.workflow == bindparam("workflow"))
    plan = select(plans.c.id).where(named, plans.c.version == bindparam("version")).scalar_subquery()
    return Driver(
        name="version",
        branches=(_of_runs(shape, runs.c.plan_id == plan),),
        covers=frozenset({"workflow", "version"}),
    )


def _by_states(shape: Shape) -> Driver:
    return Driver(
        name="state",
        branches=tuple(
            _of_runs(shape, _OURS, runs.c.phase == literal_column(f"'{phase}'", Text)) for phase in shape.phases
        ),
        covers=frozenset({"states"} if shape.is_phases else ()),
    )


def conditions(shape: Shape, run: Any) -> list[ColumnElement[bool]]:
    """Return all that a run, given by its columns, must fit, whichever way it was found."""
    same = ("workflow", "version", "agent", "initiator", "correlation_id", "idempotency_key")
    found: list[ColumnElement[bool]] = [run.namespace == bindparam("namespace")]
    found += [run[name] == bindparam(name) for name in same if name in shape.said]
    if shape.phases:
        found.append(run.state == any_(bindparam("states", type_=ARRAY(Text))))
    if shape.tags:
        found.append(run.tags.contains(cast(bindparam("tags", type_=ARRAY(Text)), ARRAY(Text))))
    if "metadata" in shape.said:
        found.append(run.metadata.contains(cast(bindparam("metadata"), JSONB)))
    if "schedule" in shape.said:
        found.append(run.schedule_id == _schedule())
    if "rerun_of" in shape.said:
        found.append(run.rerun_of == bindparam("rerun_of", type_=Uuid()))
    if "title" in shape.said:
        found.append(
            func.strpos(func.lower(run.title), func.lower(cast(bindparam("title"), Text))) > literal_column("0")
        )
    for name, column in (("created", run.created_at), ("finished", run.finished_at), ("due", run.due_at)):
        found += [column >= _moment(f"{name}_after")] if f"{name}_after" in shape.said else []
        found += [column < _moment(f"{name}_before")] if f"{name}_before" in shape.said else []
    return found

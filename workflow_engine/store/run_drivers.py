"""The ways to the runs that a filter means: for each an index, most of them in the order of the list."""

import json
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import (
    BigInteger,
    Column,
    ColumnElement,
    FromClause,
    Select,
    Text,
    and_,
    cast,
    func,
    literal,
    select,
    true,
    tuple_,
    union_all,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

from workflow_engine.model.pages import Place
from workflow_engine.model.run import RunState
from workflow_engine.model.run_filter import RunFilter, RunOrder
from workflow_engine.store.tables.runs import plans, run_labels, runs
from workflow_engine.store.tables.schedules import schedules

_OPEN: Final = "open"
_IS_OPEN: Final = frozenset({RunState.PENDING, RunState.RUNNING})
_COMPARED: Final = ("id", "created_at", "namespace", "state", "schedule_id")
"""Columns that conditions may be about, beside those that every list has."""
_LABELS_ASKED: Final = 5
"""Of a filter's metadata: values by which runs are looked for. The others are only compared."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunQuestion:
    """Which runs of a namespace are wanted, and from where on."""

    namespace: str
    wanted: RunFilter
    order: RunOrder = RunOrder.NEWEST
    after: Place | None = None


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

    def candidates(self, question: RunQuestion, limit: int) -> Select[Any]:
        """Return the first ``limit`` that it finds in the order of the list; any, if it does not know that order."""
        return self._first(self.branches, question, limit)

    @property
    def is_direct(self) -> bool:
        """Whether it comes by the rows of the runs themselves: to find each by its id costs several times as much."""
        return all(branch.get_final_froms() == [runs] for branch in self.branches)

    def walked(self, question: RunQuestion, limit: int, columns: Sequence[Column[Any]]) -> FromClause:
        """Return the same with ``columns`` of the runs, and what their conditions are about."""
        wanted = list(dict.fromkeys([*columns, *(runs.c[name] for name in _COMPARED)]))
        if self.is_direct:
            whole = [branch.with_only_columns(*wanted) for branch in self.branches]
            return self._first(whole, question, limit).subquery()
        near = self.candidates(question, limit).subquery()
        others = [column for column in wanted if column.name not in near.c]  # by those the order is known
        return select(*near.c, *others).select_from(near.join(runs, runs.c.id == near.c.id)).subquery()

    def _first(self, branches: Sequence[Select[Any]], question: RunQuestion, limit: int) -> Select[Any]:
        if len(branches) > 1:  # each in order and bounded, so that PostgreSQL merges them and stops as soon as it may
            found = union_all(*(self._first([each], question, limit) for each in branches)).subquery()
            branches = [select(*found.c)]
        (query,) = branches
        if self.is_ordered:
            columns = query.selected_columns
            query = query.order_by(*in_order(question.order, columns.created_at, columns.id))
        return query.limit(_literal(limit))


def in_order(order: RunOrder, moment: Any, run_id: Any) -> tuple[Any, Any]:
    """Return what to order by."""
    return (moment.desc(), run_id.desc()) if order is RunOrder.NEWEST else (moment, run_id)


def _literal(number: int) -> ColumnElement[int]:
    """Return a number that the planner sees: a plan is made for all values."""
    return literal(number, literal_execute=True)


def drivers_for(question: RunQuestion) -> list[Driver]:
    """Return the ways to what is wanted, those that usually lead to few runs first."""
    wanted = question.wanted
    found = [*_by_key(question), *_by_labels(question), *_by_moments(question)]
    if wanted.workflow is not None:
        found.append(_by_workflow(question))
    if wanted.states:
        found.append(_by_states(question))
    return [*found, Driver(name="all", branches=(_of_runs(question, runs.c.namespace == question.namespace),))]


def _of_runs(question: RunQuestion, *conditions: ColumnElement[bool]) -> Select[Any]:
    query = select(runs.c.id, runs.c.created_at).where(*conditions)
    return query.where(*bounds(question, runs.c.created_at, runs.c.id))


def _somewhere(*conditions: ColumnElement[bool]) -> Select[Any]:
    """Without the bounds of the walk: they would tempt the planner to go along the list after all."""
    return select(runs.c.id, runs.c.created_at).where(*conditions)


def _of_label(question: RunQuestion, kind: str, value: Any) -> Select[Any]:
    label = func.wfe_label(cast(question.namespace, Text), cast(kind, Text), value)
    query = select(run_labels.c.run_id.label("id"), run_labels.c.created_at).where(
        run_labels.c.label == cast(label, BigInteger)
    )
    return query.where(*bounds(question, run_labels.c.created_at, run_labels.c.run_id))


def bounds(question: RunQuestion, moment: Any, run_id: Any) -> Iterator[ColumnElement[bool]]:
    """Yield what bounds the walk along an index: behind the last page, within what is wanted."""
    wanted, newest = question.wanted, question.order is RunOrder.NEWEST
    if wanted.created_after is not None:
        yield moment >= wanted.created_after
    if wanted.created_before is not None:
        yield moment < wanted.created_before
    if wanted.finished_before is not None:
        yield moment < wanted.finished_before  # what ended by then was submitted by then
    if question.after is not None:
        here, there = tuple_(moment, run_id), tuple_(question.after.moment, uuid.UUID(question.after.run_id))
        yield here < there if newest else here > there


def _by_key(question: RunQuestion) -> Iterator[Driver]:
    """An idempotency key is unique in a workflow; of those there are not many."""
    if question.wanted.idempotency_key is None:
        return
    known = select(plans.c.workflow).where(plans.c.namespace == question.namespace).distinct().subquery()
    query = _somewhere(
        runs.c.namespace == question.namespace,
        runs.c.workflow == known.c.workflow,
        runs.c.idempotency_key == question.wanted.idempotency_key,
    )
    yield Driver(name="key", branches=(query,), covers=frozenset({"idempotency_key"}), is_ordered=False)


def _by_labels(question: RunQuestion) -> Iterator[Driver]:
    wanted = question.wanted
    if wanted.correlation_id is not None:
        yield _by_correlation(question, wanted.correlation_id)
    if wanted.schedule is not None:
        value = func.to_jsonb(_schedule(question))
        yield Driver(
            name="schedule", branches=(_of_label(question, "schedule", value),), covers=frozenset({"schedule"})
        )
    if wanted.rerun_of is not None:
        label = _of_label(question, "rerun", _text(str(wanted.rerun_of)))
        yield Driver(name="rerun", branches=(label,), covers=frozenset({"rerun_of"}))
    parts = list(_parts((), wanted.metadata))[:_LABELS_ASKED]
    for path, leaf in parts:
        label = _of_label(question, "metadata", cast(json.dumps([path, leaf]), JSONB))
        yield Driver(name="metadata", branches=(label,), covers=frozenset({"metadata"} if len(parts) == 1 else ()))
    for tag in wanted.tags:
        covers = frozenset({"tags"} if len(wanted.tags) == 1 else ())
        yield Driver(name="tag", branches=(_of_label(question, "tag", _text(tag)),), covers=covers)
    for name in ("agent", "initiator"):
        if (said := getattr(wanted, name)) is not None:
            yield Driver(name=name, branches=(_of_label(question, name, _text(said)),), covers=frozenset({name}))


def _text(value: str) -> ColumnElement[Any]:
    return func.to_jsonb(cast(value, Text))


def _schedule(question: RunQuestion) -> Any:
    return (
        select(schedules.c.id)
        .where(schedules.c.namespace == question.namespace, schedules.c.name == question.wanted.schedule)
        .scalar_subquery()
    )


def _by_correlation(question: RunQuestion, correlation_id: str) -> Driver:
    """A run that was not given a correlation id has its own for one, and no label of it."""
    branches = [_of_label(question, "correlation", _text(correlation_id))]
    try:
        own = uuid.UUID(correlation_id)
    except ValueError:
        pass
    else:
        branches.append(_of_runs(question, runs.c.id == own))
    return Driver(name="correlation", branches=tuple(branches), covers=frozenset({"correlation_id"}))


def _parts(path: tuple[str | None, ...], value: Any) -> Iterator[tuple[tuple[str | None, ...], Any]]:
    """Yield the path and value of each part of metadata that is neither object nor list, as ``wfe_metadata_parts``."""
    if isinstance(value, Mapping):
        for key, each in value.items():
            yield from _parts((*path, key), each)
    elif isinstance(value, list | tuple):
        for each in value:
            yield from _parts((*path, None), each)
    else:
        yield path, value


def _by_moments(question: RunQuestion) -> Iterator[Driver]:
    wanted, ours = question.wanted, runs.c.namespace == question.namespace
    if wanted.due_before is not None:
        query = _somewhere(ours, runs.c.due_at < wanted.due_before)
        yield Driver(name="due", branches=(query,), covers=frozenset({"due_before"}), is_ordered=False)
        yield Driver(name="to do by", branches=(_of_label(question, "due", func.to_jsonb(true())),))
    if wanted.finished_after is not None or wanted.finished_before is not None:
        within: list[ColumnElement[bool]] = [runs.c.finished_at.is_not(None)]
        if wanted.finished_after is not None:
            within.append(runs.c.finished_at >= wanted.finished_after)
        if wanted.finished_before is not None:
            within.append(runs.c.finished_at < wanted.finished_before)
        covers = frozenset({"finished_after", "finished_before"})
        yield Driver(name="finished", branches=(_somewhere(ours, *within),), covers=covers, is_ordered=False)


def _by_workflow(question: RunQuestion) -> Driver:
    wanted = question.wanted
    named = and_(plans.c.namespace == question.namespace, plans.c.workflow == wanted.workflow)
    if wanted.version is None:
        query = _of_runs(question, runs.c.namespace == question.namespace, runs.c.workflow == wanted.workflow)
        return Driver(name="workflow", branches=(query,), covers=frozenset({"workflow"}))
    plan = select(plans.c.id).where(named, plans.c.version == wanted.version).scalar_subquery()
    return Driver(
        name="version",
        branches=(_of_runs(question, runs.c.plan_id == plan),),
        covers=frozenset({"workflow", "version"}),
    )


def _by_states(question: RunQuestion) -> Driver:
    states = set(question.wanted.states)
    phases = sorted({_OPEN if state in _IS_OPEN else state.value for state in states})
    ours = runs.c.namespace == question.namespace
    is_exact = not states & _IS_OPEN or states >= _IS_OPEN
    return Driver(
        name="state",
        branches=tuple(_of_runs(question, ours, runs.c.phase == phase) for phase in phases),
        covers=frozenset({"states"} if is_exact else ()),
    )


def conditions(question: RunQuestion, run: Any) -> list[ColumnElement[bool]]:
    """Return all that a run, given by its columns, must fit, whichever way it was found."""
    wanted = question.wanted
    same = ("workflow", "version", "agent", "initiator", "correlation_id", "idempotency_key", "rerun_of")
    found: list[ColumnElement[bool]] = [run.namespace == question.namespace]
    found += [run[name] == said for name in same if (said := getattr(wanted, name)) is not None]
    if wanted.states:
        found.append(run.state.in_([state.value for state in wanted.states]))
    if wanted.tags:
        found.append(run.tags.contains(cast(list(wanted.tags), ARRAY(Text))))
    if wanted.metadata:
        found.append(run.metadata.contains(cast(json.dumps(wanted.metadata), JSONB)))
    if wanted.schedule is not None:
        found.append(run.schedule_id == _schedule(question))
    if wanted.title is not None:
        found.append(func.strpos(func.lower(run.title), func.lower(cast(wanted.title, Text))) > 0)
    return found + _moments(wanted, run)


def _moments(wanted: RunFilter, run: Any) -> list[ColumnElement[bool]]:
    found: list[ColumnElement[bool]] = []
    for name, column in (("created", run.created_at), ("finished", run.finished_at)):
        if (after := getattr(wanted, f"{name}_after")) is not None:
            found.append(column >= after)
        if (before := getattr(wanted, f"{name}_before")) is not None:
            found.append(column < before)
    if wanted.due_before is not None:
        found.append(run.due_at < wanted.due_before)
    return found

"""The read side for client, API and CLI: one run, its steps and events; workflows. Writes nothing."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from psycopg import Connection
from sqlalchemy import Dialect, Select, and_, func, select
from sqlalchemy.dialects.postgresql.psycopg import PGDialect_psycopg

from workflow_engine.ids import RunId
from workflow_engine.model.records import EventRecord, RunRecord, StepRecord
from workflow_engine.model.run import RunState
from workflow_engine.model.step import StepState
from workflow_engine.store.event_log import event_record
from workflow_engine.store.run_rows import WHOLE_COLUMNS, run_record
from workflow_engine.store.tables.events import events
from workflow_engine.store.tables.runs import plan_steps, plans, runs, steps, workers

_DIALECT: Dialect = PGDialect_psycopg()  # type: ignore[no-untyped-call]  # SQLAlchemy's own gap


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkflowRecord:
    """A registered version of a workflow."""

    namespace: str
    workflow: str
    version: str
    created_at: datetime
    steps: int


class Views:
    """Questions about runs."""

    def __init__(self, connection: Connection[Any]) -> None:
        """Ask on the given connection."""
        self._connection = connection

    def find_run(self, run_id: RunId) -> RunRecord | None:
        """Return a run; None if there is none of that id, or the id is not one."""
        if not _is_uuid(run_id):
            return None
        rows = self._all(select(*WHOLE_COLUMNS).where(runs.c.id == uuid.UUID(run_id)))
        return run_record(rows[0]) if rows else None

    def run_state(self, run_id: RunId) -> RunState | None:
        """Return only where a run stands: for those who wait."""
        if not _is_uuid(run_id):
            return None
        rows = self._all(select(runs.c.state).where(runs.c.id == uuid.UUID(run_id)))
        return RunState(rows[0].state) if rows else None

    def steps_of(self, run_id: RunId) -> list[StepRecord]:
        """Return a run's steps in topological order."""
        if not _is_uuid(run_id):
            return []
        query = (
            select(
                *(steps.c[name] for name in ("run_id", "position", "state", "attempt", "result", "error")),
                *(steps.c[name] for name in ("ready_at", "dispatched_at", "started_at", "finished_at")),
                plan_steps.c.name,
                plan_steps.c.queue,
                workers.c.name.label("worker"),
            )
            .join(runs, runs.c.id == steps.c.run_id)
            .join(
                plan_steps,
                and_(plan_steps.c.plan_id == runs.c.plan_id, plan_steps.c.position == steps.c.position),
            )
            .outerjoin(workers, workers.c.id == steps.c.worker_id)
            .where(steps.c.run_id == uuid.UUID(run_id))
            .order_by(steps.c.position)
        )
        return [_step(row) for row in self._all(query)]

    def results_of(self, run_id: RunId, positions: Sequence[int]) -> dict[str, Any]:
        """Return the results of the steps at ``positions``, by name."""
        query = (
            select(plan_steps.c.name, steps.c.result)
            .join(runs, runs.c.id == steps.c.run_id)
            .join(
                plan_steps,
                and_(plan_steps.c.plan_id == runs.c.plan_id, plan_steps.c.position == steps.c.position),
            )
            .where(steps.c.run_id == uuid.UUID(run_id), steps.c.position.in_(positions))
            .where(steps.c.state == StepState.SUCCEEDED.value)
            .order_by(steps.c.position)
        )
        return {row.name: row.result for row in self._all(query)}

    def plan_of(self, run_id: RunId) -> int | None:
        """Return the id of the plan a run is pinned to."""
        if not _is_uuid(run_id):
            return None
        rows = self._all(select(runs.c.plan_id).where(runs.c.id == uuid.UUID(run_id)))
        return rows[0].plan_id if rows else None

    def events_of(self, run_id: RunId, after: int = 0, limit: int = 10_000) -> list[EventRecord]:
        """Return up to ``limit`` of a run's events after position ``after`` of the log, oldest first."""
        if not _is_uuid(run_id):
            return []
        query = (
            select(events, plans.c.workflow, plans.c.version.label("workflow_version"))
            .outerjoin(plans, plans.c.id == events.c.plan_id)
            .where(events.c.run_id == uuid.UUID(run_id), events.c.id > after)
            .order_by(events.c.id)
            .limit(limit)
        )
        return [event_record(row) for row in self._all(query)]

    def count_steps(self, run_id: RunId) -> dict[StepState, int]:
        """Return how many steps of a run are in each state."""
        query = (
            select(steps.c.state, func.count().label("number"))
            .where(steps.c.run_id == uuid.UUID(run_id))
            .group_by(steps.c.state)
        )
        return {StepState(row.state): row.number for row in self._all(query)}

    def workflows(self, namespace: str | None = None) -> list[WorkflowRecord]:
        """Return every registered version, by name and age."""
        size = select(func.count()).where(plan_steps.c.plan_id == plans.c.id).scalar_subquery().label("steps")
        query = select(plans.c.namespace, plans.c.workflow, plans.c.version, plans.c.created_at, size)
        if namespace is not None:
            query = query.where(plans.c.namespace == namespace)
        query = query.order_by(plans.c.namespace, plans.c.workflow, plans.c.id)
        return [
            WorkflowRecord(
                namespace=row.namespace,
                workflow=row.workflow,
                version=row.version,
                created_at=row.created_at,
                steps=row.steps,
            )
            for row in self._all(query)
        ]

    def _all(self, query: Select[Any]) -> list[Any]:
        compiled = query.compile(dialect=_DIALECT, compile_kwargs={"render_postcompile": True})
        return self._connection.execute(str(compiled).encode(), dict(compiled.params)).fetchall()


def _is_uuid(text: str) -> bool:
    try:
        uuid.UUID(text)
    except (ValueError, AttributeError, TypeError):
        return False
    return True


def _step(row: Any) -> StepRecord:
    values = row._asdict()
    values["run_id"] = RunId(str(values["run_id"]))
    values["state"] = StepState(values["state"])
    return StepRecord(**values)

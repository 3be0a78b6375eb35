"""What is told of one run for people: its steps page by page, their states, their attempts. Reads only."""

import uuid
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from psycopg import Connection
from sqlalchemy import Dialect, Select, and_, func, select
from sqlalchemy.dialects.postgresql.psycopg import PGDialect_psycopg

from workflow_engine.ids import RunId
from workflow_engine.model.records import StepRecord
from workflow_engine.model.step import StepState
from workflow_engine.store.tables.events import events
from workflow_engine.store.tables.runs import plan_steps, runs, steps, workers

_DIALECT: Final[Dialect] = PGDialect_psycopg()  # type: ignore[no-untyped-call]  # SQLAlchemy's own gap
_TRIED: Final = (
    "step.dispatched",
    "step.started",
    "step.suspended",
    "step.completed",
    "step.retrying",
    "step.lost",
    "step.failed",
    "step.cancelled",
)
"""Events about an attempt."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StepMark:
    """Where a step stands, without what it made."""

    position: int
    state: StepState
    attempt: int
    started_at: datetime | None
    finished_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptFact:
    """An event about an attempt."""

    step: str
    attempt: int
    name: str
    occurred_at: datetime
    error_class: str | None
    message: str | None


class RunDetails:
    """Questions about one run."""

    def __init__(self, connection: Connection[Any]) -> None:
        """Ask on the given connection."""
        self._connection = connection

    def page_steps(self, run_id: RunId, limit: int, *, after: int) -> list[StepRecord]:
        """Return a run's steps behind a position, in topological order."""
        query = (
            select(
                *(steps.c[name] for name in ("run_id", "position", "state", "attempt", "result", "error")),
                *(steps.c[name] for name in ("ready_at", "dispatched_at", "started_at", "finished_at")),
                plan_steps.c.name,
                plan_steps.c.queue,
                workers.c.name.label("worker"),
            )
            .join(runs, runs.c.id == steps.c.run_id)
            .join(plan_steps, and_(plan_steps.c.plan_id == runs.c.plan_id, plan_steps.c.position == steps.c.position))
            .outerjoin(workers, workers.c.id == steps.c.worker_id)
            .where(steps.c.run_id == uuid.UUID(run_id), steps.c.position > after)
            .order_by(steps.c.position)
            .limit(limit)
        )
        return [_step(row) for row in self._all(query)]

    def marks(self, run_id: RunId) -> list[StepMark]:
        """Return where each of a run's steps stands, by position."""
        query = (
            select(*(steps.c[name] for name in ("position", "state", "attempt", "started_at", "finished_at")))
            .where(steps.c.run_id == uuid.UUID(run_id))
            .order_by(steps.c.position)
        )
        return [StepMark(**(row._asdict() | {"state": StepState(row.state)})) for row in self._all(query)]

    def attempts(self, run_id: RunId, names: Collection[str], limit: int) -> list[AttemptFact]:
        """Return the newest events about attempts of these steps, oldest first."""
        query = (
            select(
                *(events.c[name] for name in ("step", "attempt", "name", "occurred_at")),
                events.c.data["error_class"].astext.label("error_class"),
                func.coalesce(events.c.data["message"].astext, events.c.data["reason"].astext).label("message"),
            )
            .where(events.c.run_id == uuid.UUID(run_id), events.c.attempt.is_not(None))
            .where(events.c.step.in_(sorted(names)), events.c.name.in_(_TRIED))
            .order_by(events.c.id.desc())
            .limit(limit)
        )
        return [AttemptFact(**row._asdict()) for row in self._all(query)][::-1]

    def _all(self, query: Select[Any]) -> list[Any]:
        compiled = query.compile(dialect=_DIALECT, compile_kwargs={"render_postcompile": True})
        return self._connection.execute(str(compiled).encode(), dict(compiled.params)).fetchall()


def _step(row: Any) -> StepRecord:
    values = row._asdict()
    return StepRecord(**(values | {"run_id": RunId(str(values["run_id"])), "state": StepState(values["state"])}))

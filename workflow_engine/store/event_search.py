"""Find events in the log by what they are about. Reads only."""

import uuid
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from psycopg import Connection
from sqlalchemy import Dialect, Select, select
from sqlalchemy.dialects.postgresql.psycopg import PGDialect_psycopg

from workflow_engine.ids import RunId
from workflow_engine.model.records import EventRecord
from workflow_engine.store.event_log import event_record
from workflow_engine.store.tables.events import events
from workflow_engine.store.tables.runs import plans

_DIALECT: Dialect = PGDialect_psycopg()  # type: ignore[no-untyped-call]  # SQLAlchemy's own gap


@dataclass(frozen=True, slots=True, kw_only=True)
class EventFilter:
    """Which events are wanted; None leaves a field open."""

    run_id: RunId | None = None
    names: Collection[str] | None = None
    namespace: str | None = None
    workflow: str | None = None
    step: str | None = None

    def fits(self, event: EventRecord) -> bool:
        """Return whether an event is wanted."""
        return (
            (self.run_id is None or event.run_id == self.run_id)
            and (self.names is None or event.name in self.names)
            and (self.namespace is None or event.namespace == self.namespace)
            and (self.workflow is None or event.workflow == self.workflow)
            and (self.step is None or event.step == self.step)
        )


class EventSearch:
    """Questions about the ``events`` table."""

    def __init__(self, connection: Connection[Any]) -> None:
        """Ask on the given connection."""
        self._connection = connection

    def newest(self, wanted: EventFilter, limit: int, *, after: int = 0, until: int) -> list[EventRecord]:
        """Return the newest events that fit, oldest first, of those after a place of the log and up to another."""
        query = _query(wanted).where(events.c.id > after, events.c.id <= until).order_by(events.c.id.desc())
        return self._records(query.limit(limit))[::-1]

    def page(self, wanted: EventFilter, limit: int, *, after: int, until: int) -> list[EventRecord]:
        """Return the first events that fit after a place of the log and up to another."""
        query = _query(wanted).where(events.c.id > after, events.c.id <= until).order_by(events.c.id)
        return self._records(query.limit(limit))

    def _records(self, query: Select[Any]) -> list[EventRecord]:
        compiled = query.compile(dialect=_DIALECT, compile_kwargs={"render_postcompile": True})
        rows: Sequence[Any] = self._connection.execute(str(compiled).encode(), dict(compiled.params)).fetchall()
        return [event_record(row) for row in rows]


def _query(wanted: EventFilter) -> Select[Any]:
    query = select(events, plans.c.workflow, plans.c.version.label("workflow_version")).select_from(
        events.outerjoin(plans, plans.c.id == events.c.plan_id)
    )
    if wanted.run_id is not None:
        query = query.where(events.c.run_id == uuid.UUID(wanted.run_id))
    if wanted.names is not None:
        query = query.where(events.c.name.in_(sorted(wanted.names)))
    if wanted.namespace is not None:
        query = query.where(events.c.namespace == wanted.namespace)
    if wanted.workflow is not None:
        query = query.where(plans.c.workflow == wanted.workflow)
    if wanted.step is not None:
        query = query.where(events.c.step == wanted.step)
    return query

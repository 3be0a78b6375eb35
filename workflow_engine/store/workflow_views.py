"""What is told of registered workflows for people. Reads only."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from psycopg import Connection
from sqlalchemy import Dialect, Select, func, select
from sqlalchemy.dialects.postgresql.psycopg import PGDialect_psycopg

from workflow_engine.store.tables.runs import plan_steps, plans

_DIALECT: Final[Dialect] = PGDialect_psycopg()  # type: ignore[no-untyped-call]  # SQLAlchemy's own gap


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkflowFacts:
    """A registered workflow: its newest version, and how many there are."""

    name: str
    version: str
    """The one registered last."""
    versions: int
    size: int
    """How many steps it has."""
    description: str
    registered_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class VersionFacts:
    """A registered version of a workflow."""

    version: str
    registered_at: datetime


class WorkflowViews:
    """Questions about workflows."""

    def __init__(self, connection: Connection[Any]) -> None:
        """Ask on the given connection."""
        self._connection = connection

    def page(self, namespace: str, limit: int, *, after: str) -> list[WorkflowFacts]:
        """Return workflows behind a name, by name."""
        newest = (
            select(plans.c.workflow, func.max(plans.c.id).label("id"), func.count().label("versions"))
            .where(plans.c.namespace == namespace, plans.c.workflow > after)
            .group_by(plans.c.workflow)
            .order_by(plans.c.workflow)
            .limit(limit)
            .subquery()
        )
        size = select(func.count()).where(plan_steps.c.plan_id == plans.c.id).scalar_subquery()
        query = (
            select(
                plans.c.workflow.label("name"),
                plans.c.version,
                newest.c.versions,
                size.label("size"),
                plans.c.definition["description"].astext.label("description"),
                plans.c.created_at.label("registered_at"),
            )
            .join(newest, newest.c.id == plans.c.id)
            .order_by(plans.c.workflow)
        )
        return [WorkflowFacts(**row._asdict()) for row in self._all(query)]

    def versions(self, namespace: str, workflow: str, limit: int) -> list[VersionFacts]:
        """Return the newest versions of a workflow, that registered last first."""
        query = (
            select(plans.c.version, plans.c.created_at.label("registered_at"))
            .where(plans.c.namespace == namespace, plans.c.workflow == workflow)
            .order_by(plans.c.id.desc())
            .limit(limit)
        )
        return [VersionFacts(**row._asdict()) for row in self._all(query)]

    def _all(self, query: Select[Any]) -> list[Any]:
        compiled = query.compile(dialect=_DIALECT, compile_kwargs={"render_postcompile": True})
        return self._connection.execute(str(compiled).encode(), dict(compiled.params)).fetchall()

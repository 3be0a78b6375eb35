"""Keep, find and close the dead letters of steps."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from psycopg import Connection
from sqlalchemy import Dialect, Select, literal_column, select, tuple_
from sqlalchemy.dialects.postgresql.psycopg import PGDialect_psycopg

from workflow_engine.ids import RunId
from workflow_engine.model.commands import StepAttempt, StepError
from workflow_engine.model.dead_letters import DeadLetterPlace, DeadLetterState, StepDeadLetter
from workflow_engine.store.statements import statement
from workflow_engine.store.tables.step_dead_letters import step_dead_letters

_KEEP = statement("keep_dead_letter")
_CLOSE = statement("close_dead_letters")
_DIALECT: Dialect = PGDialect_psycopg()  # type: ignore[no-untyped-call]  # SQLAlchemy's own gap
_ALL = list(step_dead_letters.c)
_BRIEF = [column for column in _ALL if column.name != "traceback"]
_ORDER = [step_dead_letters.c[name] for name in ("failed_at", "run_id", "position", "attempt")]


@dataclass(frozen=True, slots=True, kw_only=True)
class StepDeadLetterFilter:
    """Which dead letters of steps; None leaves a field open."""

    namespace: str
    workflow: str | None = None
    step: str | None = None
    error_class: str | None = None
    run_id: RunId | None = None
    states: Sequence[DeadLetterState] = (DeadLetterState.DEAD,)
    before: StepDeadLetter | DeadLetterPlace | None = None
    """Only older ones than this: the last of the page before, or its place."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClosedStep:
    """A dead letter about which somebody has just decided."""

    position: int
    attempt: int
    step: str


class StepDeadLetters:
    """The ``step_dead_letters`` table."""

    def __init__(self, connection: Connection[Any]) -> None:
        """Work on the given connection."""
        self._connection = connection

    def keep(self, command: StepAttempt, step: str, error: StepError) -> None:
        """Keep what is known of a step that has failed for good in this transaction."""
        key = {"run_id": command.run_id, "position": command.position, "attempt": command.attempt}
        said = {"error_class": error.error_class, "message": error.message, "traceback": error.traceback}
        self._connection.execute(_KEEP, {**key, "step": step, **said})

    def close(
        self,
        run_id: RunId,
        positions: Sequence[int],
        state: DeadLetterState,
        *,
        reason: str | None,
        actor: str | None,
    ) -> list[ClosedStep]:
        """Close the dead letters of steps of a run that are still dead; return these, by position."""
        said = {"to_state": state.value, "reason": reason, "actor": actor}
        rows = self._connection.execute(_CLOSE, {"run_id": run_id, "positions": list(positions), **said})
        return sorted((ClosedStep(**row._asdict()) for row in rows), key=lambda each: each.position)

    def newest(self, run_id: RunId, step: str | int) -> StepDeadLetter | None:
        """Return the newest dead letter of a step, given by name or position, closed or not; None if it has none."""
        table = step_dead_letters.c
        which = table.position == step if isinstance(step, int) else table.step == step
        query = select(*_ALL).where(table.run_id == uuid.UUID(run_id), which)
        rows = self._all(query.order_by(table.attempt.desc()).limit(1))
        return _letter(rows[0]) if rows else None

    def page(self, wanted: StepDeadLetterFilter, limit: int) -> list[StepDeadLetter]:
        """Return the newest dead letters that fit, without their tracebacks; one query, by index, whatever the page."""
        table = step_dead_letters.c
        query = select(*_BRIEF).where(table.namespace == wanted.namespace, _in_states(wanted.states))
        query = query.order_by(*(column.desc() for column in _ORDER)).limit(limit)
        if wanted.workflow is not None:
            query = query.where(table.workflow == wanted.workflow)
        if wanted.step is not None:
            query = query.where(table.step == wanted.step)
        if wanted.error_class is not None:
            query = query.where(table.error_class == wanted.error_class)
        if wanted.run_id is not None:
            query = query.where(table.run_id == uuid.UUID(wanted.run_id))
        if (last := wanted.before) is not None:
            place = tuple_(last.failed_at, uuid.UUID(last.run_id), last.position, last.attempt)
            query = query.where(tuple_(*_ORDER) < place)
        return [_letter(row) for row in self._all(query)]

    def _all(self, query: Select[Any]) -> list[Any]:
        compiled = query.compile(dialect=_DIALECT, compile_kwargs={"render_postcompile": True})
        return self._connection.execute(str(compiled).encode(), dict(compiled.params)).fetchall()


def _in_states(states: Sequence[DeadLetterState]) -> Any:
    """Written out, not as parameters: a partial index serves only what the planner can see."""
    names = sorted({f"'{state.value}'" for state in states})
    return literal_column(f"state IN ({', '.join(names)})" if len(names) > 1 else f"state = {names[0]}")


def _letter(row: Any) -> StepDeadLetter:
    values = row._asdict()
    values["run_id"] = RunId(str(values["run_id"]))
    values["state"] = DeadLetterState(values["state"])
    return StepDeadLetter(**values)

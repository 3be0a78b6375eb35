"""Store, hold and move runs."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any

from psycopg import Connection

from workflow_engine.ids import RunId
from workflow_engine.model.commands import StepError, SubmitRun
from workflow_engine.model.deadlines import as_seconds
from workflow_engine.model.records import RunTimes
from workflow_engine.model.run import FINAL_RUN_STATES, RUN_TRANSITIONS, RunState, RunTrigger
from workflow_engine.store.arrays import text_array
from workflow_engine.store.database import hot_cursor
from workflow_engine.store.statements import statement

_SUBMIT = statement("submit_run", frozenset({"at_once"}))
_SUBMIT_DEFERRED = statement("submit_run", frozenset({"deferred"}))
_FIND_BY_KEY = statement("find_run_by_key")
_LOCK = statement("lock_run")
_MOVE = statement("move_run")
_FAIL_LATER = statement("fail_run_later")
_HAS_UNFINISHED = statement("has_unfinished")
_RESUME = statement("resume_run")
_START = statement("start_run")
_FIND_CANCELLING = statement("find_cancelling")
_TAKE_EXPIRED = statement("take_expired")


@dataclass(frozen=True, slots=True, kw_only=True)
class LockedRun:
    """A run's row while we hold it."""

    state: RunState
    plan_id: int
    error: dict[str, Any] | None
    """The first failure: ``step`` (None if the run timed out), ``error_class``, ``message``."""
    times: RunTimes
    priority: int | None
    correlation_id: str
    traceparent: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyOwner:
    """The run that an idempotency key belongs to."""

    run_id: RunId
    input_digest: str


@dataclass(frozen=True, kw_only=True)
class RootSteps:
    """What ``submit_run.sql`` must know of the plan beside what the database has: the same for every run."""

    names: Sequence[str]
    dispatched: Sequence[str]
    """A ``step.dispatched`` payload for each root."""
    sinks: int

    @cached_property
    def arrays(self) -> tuple[str, str]:
        """Names and payloads as PostgreSQL's text."""
        return text_array(self.names), text_array(self.dispatched)


class Runs:
    """The ``runs`` table, and the birth of its steps."""

    def __init__(self, connection: Connection[Any]) -> None:
        """Work on the given connection."""
        self._connection = connection

    def submit(
        self,
        command: SubmitRun,
        roots: RootSteps,
        *,
        submitted: str,
        dispatch: bool,
        deferred: bool,
        timeout: timedelta | None = None,
    ) -> datetime | None:
        """Store a run with all its steps and return when; None if its idempotency key is taken.

        With ``dispatch`` its roots are born dispatched and the caller hands them to the broker after the commit;
        without, they are born ready, and the trigger tells the coordinator at commit. With ``deferred`` its event gets
        its place in the log only at the commit: the transaction is somebody else's and may be long.
        """
        options, (root_names, root_data) = command.options, roots.arrays
        # Somebody else's connection may be to a proxy, which knows no prepared statements.
        cursor, prepare = (self._connection, None) if deferred else (hot_cursor(self._connection), True)
        row = cursor.execute(
            _SUBMIT_DEFERRED if deferred else _SUBMIT,
            {
                "run_id": command.run_id,
                "plan_id": command.plan_id,
                "input": command.input,
                "input_digest": command.input_digest,
                "idempotency_key": options.idempotency_key,
                "correlation_id": options.correlation_id or command.run_id,
                "priority": options.priority,
                "title": options.title,
                "description": options.description,
                "tags": text_array(options.tags),
                "metadata": json.dumps(options.metadata) if options.metadata else "{}",
                "agent": options.agent,
                "initiator": options.initiator,
                "traceparent": options.traceparent,
                "schedule_id": command.schedule_id,
                "sinks": roots.sinks,
                "scheduled_at": options.scheduled_at,
                "due_at": options.due_at,
                "remind_before": as_seconds(options.remind_before) or None,
                "timeout": None if timeout is None else timeout.total_seconds(),
                "expires_at": options.expires_at,
                "dispatch": dispatch,
                "submitted": submitted,
                "root_names": root_names,
                "root_data": root_data,
            },
            prepare=prepare,
        ).fetchone()
        return None if row is None else row.created_at

    def find_by_key(self, namespace: str, workflow: str, key: str) -> KeyOwner | None:
        """Return the run that has an idempotency key."""
        row = self._connection.execute(
            _FIND_BY_KEY, {"namespace": namespace, "workflow": workflow, "key": key}
        ).fetchone()
        return None if row is None else KeyOwner(run_id=RunId(row.run_id), input_digest=row.input_digest)

    def lock(self, run_id: RunId) -> LockedRun | None:
        """Hold a run's row until the transaction ends; lock its steps first if you need both."""
        row = self._connection.execute(_LOCK, {"run_id": run_id}).fetchone()
        if row is None:
            return None
        times = RunTimes(submitted_at=row.created_at, started_at=row.started_at, retried_at=row.retried_at)
        return LockedRun(
            state=RunState(row.state),
            plan_id=row.plan_id,
            error=row.error,
            times=times,
            priority=row.priority,
            correlation_id=row.correlation_id,
            traceparent=row.traceparent,
        )

    def move(self, run_id: RunId, trigger: RunTrigger) -> bool:
        """Move a run by ``trigger`` from wherever that is allowed; False if it is not there."""
        moves = {source: target for (source, by), target in RUN_TRANSITIONS.items() if by is trigger}
        (target,) = set(moves.values())
        row = self._connection.execute(
            _MOVE,
            {
                "run_id": run_id,
                "from_states": [state.value for state in moves],
                "to_state": target.value,
                "final": target in FINAL_RUN_STATES,
            },
        ).fetchone()
        return row is not None

    def resume(self, run_id: RunId, sinks: int) -> RunState:
        """Let a held run go on that is paused, with so many sinks before it; return where that leads."""
        (row,) = self._connection.execute(_RESUME, {"run_id": run_id, "sinks": sinks}).fetchall()
        return RunState(row.state)

    def start(self, run_id: RunId) -> bool:
        """Let a held run begin; return whether it runs now: not if it had begun, nor while it is paused."""
        row = self._connection.execute(_START, {"run_id": run_id}).fetchone()
        return row is not None and RunState(row.state) is RunState.RUNNING

    def fail_later(self, run_id: RunId, step: str | None, error: StepError) -> None:
        """Remember the run's first failure; of no step if the run itself has failed."""
        value = {"step": step, "error_class": error.error_class, "message": error.message}
        self._connection.execute(_FAIL_LATER, {"run_id": run_id, "error": json.dumps(value)})

    def has_unfinished_steps(self, run_id: RunId) -> bool:
        """Return whether any of the run's steps can still move."""
        row = self._connection.execute(_HAS_UNFINISHED, {"run_id": run_id}).fetchone()
        return bool(row and row.unfinished)

    def find_cancelling(self, run_ids: Sequence[RunId]) -> list[RunId]:
        """Return those of these runs that are being cancelled."""
        return [RunId(row.run_id) for row in self._connection.execute(_FIND_CANCELLING, {"run_ids": list(run_ids)})]

    def find_expired(self, run_ids: Sequence[RunId]) -> list[RunId]:
        """Return those of these runs that did not start in time."""
        return [RunId(row.run_id) for row in self._connection.execute(_TAKE_EXPIRED, {"run_ids": list(run_ids)})]

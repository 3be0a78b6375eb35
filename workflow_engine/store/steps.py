"""Claim and move the steps of runs."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Final

from workflow_engine.ids import RunId
from workflow_engine.model.commands import StepAttempt, StepError
from workflow_engine.model.records import AttemptTimes, FailedAttempt
from workflow_engine.model.step import StepState
from workflow_engine.store.hot_steps import HotSteps, Settle, attempt_key, attempt_times
from workflow_engine.store.statements import statement

_FIND_KEPT = statement("find_kept")
_FIND_REPAIR = statement("find_repair")
_RETRY = statement("retry_step")
_LOSE = statement("lose_step")
_END = statement("end_step")
_HOLD_FIRST = statement("hold_first_step")
_LOCK_UNFINISHED = statement("lock_unfinished")
_END_UNSTARTED = statement("end_unstarted")
_MARK_SETTLE = statement("mark_settle")
_RELEASE = statement("release_steps")
_RESCUE = statement("rescue_steps")
_WAITING_QUEUES = statement("waiting_queues")
_RESEND = statement("resend_steps")
_FIND_HELD = statement("find_held")
_FIND_GIVEN_AWAY = statement("find_given_away")
_FIND_RUNNING = statement("find_running")
_IS_CURRENT = statement("is_current")
_HOLD_ATTEMPT = statement("hold_attempt")
_FIND = statement("find_step")
_FORGIVEN = statement("forgiven_attempts")

_DOUBLINGS: Final = 7
"""A message that is sent again and again has the patience of the first one 128 times at most."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundStep:
    """A step as whoever resolves it by hand must know it."""

    state: StepState
    attempt: int
    settle: Settle
    result: str | None
    """JSON text."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldStep:
    """An unfinished step of a run whose rows we hold."""

    position: int
    state: StepState
    attempt: int


@dataclass(frozen=True, slots=True, kw_only=True)
class DueStep:
    """A step that was moved to ``dispatched`` and now must be sent."""

    plan_id: int
    run_id: RunId
    position: int
    attempt: int
    name: str
    queue: str | None
    priority: int
    traceparent: str | None
    """Of whoever submitted the run."""
    ready_at: datetime | None = None
    """When it became due; None where that is not what is asked."""
    waited: float = 0.0
    """For how long it had been due, in seconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WaitingQueue:
    """A queue with steps that no worker has claimed."""

    name: str | None
    """None: the default queue."""
    is_doubtful: bool
    """Whether one of them was sent so long ago that its message may be gone."""
    seconds: float | None
    """How long until the next one will have been; None if there is no other."""


class Steps(HotSteps):
    """The ``steps`` table."""

    def find_repair(self, command: StepAttempt, children: Sequence[int]) -> list[DueStep]:
        """Return children of a finished attempt that nobody has claimed."""
        rows = self._connection.execute(_FIND_REPAIR, {**attempt_key(command), "children": list(children)})
        return [due_step(row) for row in rows]

    def find_kept(self, command: StepAttempt, worker_id: str) -> StepAttempt | None:
        """Return the attempt that this worker claimed together with the completion of another one, and still has."""
        row = self._connection.execute(_FIND_KEPT, {**attempt_key(command), "worker_id": worker_id}).fetchone()
        return None if row is None else replace(command, position=row.position, attempt=row.attempt)

    def retry(self, command: StepAttempt, delay: timedelta, error: StepError) -> FailedAttempt | None:
        """Make the next attempt due after ``delay``; None if this one is not running or its run is ending."""
        parameters = {**attempt_key(command), "delay": delay, "error": _as_json(error)}
        row = self._connection.execute(_RETRY, parameters).fetchone()
        return None if row is None else FailedAttempt(times=attempt_times(row), failed_at=row.failed_at)

    def lose(self, command: StepAttempt, error: StepError, limit: int) -> AttemptTimes | None:
        """Make the step ready again; None if the attempt is not running, is lost too often, or its run is ending."""
        return self._moved(_LOSE, {**attempt_key(command), "limit": limit, "error": _as_json(error)})

    def end(self, command: StepAttempt, state: StepState, error: StepError | None = None) -> AttemptTimes | None:
        """End a running attempt without success, for good; None if it is not running."""
        stored = None if error is None else _as_json(error)
        return self._moved(_END, {**attempt_key(command), "to_state": state.value, "error": stored})

    def hold_first(self, run_id: RunId) -> None:
        """Wait for whoever moves many steps of a run, finished ones too, and keep others from it.

        A step that was finished when a statement began is not among the rows it waits for, even if it is moved back
        meanwhile; the next statement sees it.
        """
        self._connection.execute(_HOLD_FIRST, {"run_id": run_id})

    def lock_unfinished(self, run_id: RunId) -> list[HeldStep]:
        """Hold every unfinished step of a run until the transaction ends."""
        self.hold_first(run_id)
        rows = self._connection.execute(_LOCK_UNFINISHED, {"run_id": run_id})
        return [HeldStep(position=row.position, state=StepState(row.state), attempt=row.attempt) for row in rows]

    def end_unstarted(self, run_id: RunId, positions: Sequence[int], state: StepState) -> list[int]:
        """Cancel or skip held steps that have not started; return which."""
        if not positions:
            return []
        rows = self._connection.execute(
            _END_UNSTARTED, {"run_id": run_id, "positions": list(positions), "to_state": state.value}
        )
        return sorted(row.position for row in rows)

    def mark_settle(self, run_id: RunId, level: Settle) -> None:
        """Make whoever ends a step of this run ask whether the run is over."""
        self._connection.execute(_MARK_SETTLE, {"run_id": run_id, "level": level.value})

    def release(self, attempts: Sequence[StepAttempt], delay: timedelta) -> list[tuple[RunId, int]]:
        """Make steps ready again that could not be handed over; return run and position of those that moved."""
        rows = self._connection.execute(_RELEASE, {**_keys(attempts), "delay": delay})
        return [(RunId(row.run_id), row.position) for row in rows]

    def rescue(
        self, lease: timedelta, limit: int, error: StepError, loss_limit: int
    ) -> list[tuple[StepAttempt, AttemptTimes | None]]:
        """Make up to ``limit`` steps ready again whose worker has not been heard of for ``lease``.

        Returns the attempts they had; without times those that were not moved: lost too often, or their run is ending.
        """
        asked = {"lease": lease, "limit": limit, "error": _as_json(error), "loss_limit": loss_limit}
        rows = self._connection.execute(_RESCUE, asked)
        return [(_attempt(row), attempt_times(row) if row.started_at else None) for row in rows]

    def find_held(self, worker_id: str, age: timedelta) -> list[tuple[str, StepAttempt]]:
        """Return what a worker has held for at least ``age``, with the steps' names."""
        rows = self._connection.execute(_FIND_HELD, {"worker_id": worker_id, "age": age})
        return [(row.name, _attempt(row)) for row in rows]

    def find_given_away(self, worker_id: str, attempts: Sequence[StepAttempt]) -> set[StepAttempt]:
        """Return those of these attempts that a worker, which claimed them, holds no longer and has not completed."""
        rows = self._connection.execute(_FIND_GIVEN_AWAY, {**_keys(attempts), "worker_id": worker_id})
        gone = {(row.run_id, row.position, row.attempt) for row in rows}
        return {each for each in attempts if (each.run_id, each.position, each.attempt) in gone}

    def find_running(self, attempts: Sequence[StepAttempt]) -> dict[StepAttempt, int]:
        """Return those of these attempts that are running, each with the number of attempts that count no more."""
        rows = self._connection.execute(_FIND_RUNNING, _keys(attempts))
        running = {(row.run_id, row.position, row.attempt): row.forgiven for row in rows}
        keys = {each: (each.run_id, each.position, each.attempt) for each in attempts}
        return {each: running[key] for each, key in keys.items() if key in running}

    def waiting_queues(self, age: timedelta) -> list[WaitingQueue]:
        """Return the queues with steps that no worker has claimed; after ``age`` a message may be gone."""
        rows = self._connection.execute(_WAITING_QUEUES, {"age": age, "doublings": _DOUBLINGS})
        return [WaitingQueue(name=row.queue, is_doubtful=row.is_doubtful, seconds=row.seconds) for row in rows]

    def resend(self, age: timedelta, idle: Sequence[str | None], limit: int) -> list[DueStep]:
        """Take up to ``limit`` steps whose message, sent ``age`` ago or more, is gone; the caller sends them again.

        ``idle`` are the queues that are empty; None is the default queue.
        """
        asked = {"age": age, "doublings": _DOUBLINGS, "idle": [queue or "" for queue in idle], "limit": limit}
        return [due_step(row) for row in self._connection.execute(_RESEND, asked)]

    def is_current(self, command: StepAttempt) -> bool:
        """Return whether a running attempt may go on."""
        row = self._connection.execute(_IS_CURRENT, attempt_key(command)).fetchone()
        return bool(row and row.current)

    def hold_attempt(self, command: StepAttempt) -> Settle | None:
        """Hold a running attempt; return what its row says about its run; None if it is not running."""
        row = self._connection.execute(_HOLD_ATTEMPT, attempt_key(command)).fetchone()
        return None if row is None else Settle(row.settle)

    def find(self, run_id: RunId, position: int) -> FoundStep:
        """Return a held step of a run."""
        (row,) = self._connection.execute(_FIND, {"run_id": run_id, "position": position}).fetchall()
        return FoundStep(**{**row._asdict(), "state": StepState(row.state), "settle": Settle(row.settle)})

    def forgiven(self, command: StepAttempt) -> int:
        """Return how many attempts of a step count no more."""
        row = self._connection.execute(_FORGIVEN, {"run_id": command.run_id, "position": command.position}).fetchone()
        return 0 if row is None else int(row.forgiven)

    def _moved(self, query: bytes, parameters: dict[str, Any]) -> AttemptTimes | None:
        row = self._connection.execute(query, parameters).fetchone()
        return None if row is None else attempt_times(row)


def _keys(steps: Sequence[StepAttempt]) -> dict[str, list[Any]]:
    return {
        "run_ids": [step.run_id for step in steps],
        "positions": [step.position for step in steps],
        "attempts": [step.attempt for step in steps],
    }


def _as_json(error: StepError) -> str:
    return json.dumps(asdict(error))


def _attempt(row: Any) -> StepAttempt:
    return StepAttempt(plan_id=row.plan_id, run_id=RunId(row.run_id), position=row.position, attempt=row.attempt)


def due_step(row: Any, ready_at: datetime | None = None, waited: float = 0.0) -> DueStep:
    """Return a row as what is to be sent."""
    return DueStep(
        plan_id=row.plan_id,
        run_id=RunId(row.run_id),
        position=row.position,
        attempt=row.attempt,
        name=row.name,
        queue=row.queue,
        priority=row.priority,
        traceparent=row.traceparent,
        ready_at=ready_at,
        waited=waited,
    )

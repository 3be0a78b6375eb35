"""Suspend and resume steps, and keep the signals they wait for."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from psycopg import Connection

from workflow_engine.ids import RunId
from workflow_engine.model.commands import DeliverSignal, StepAttempt, SuspendStep
from workflow_engine.model.records import AttemptTimes, Claim
from workflow_engine.model.step import StepState
from workflow_engine.store.hot_steps import as_claim
from workflow_engine.store.statements import statement

_SUSPEND = statement("suspend_step")
_RESUME = statement("resume_steps")
_CANCEL = statement("cancel_suspended")
_SET_WAKE = statement("set_wake_timer")
_DROP_WAKE = statement("drop_wake_timer")
_LOCK_WAITING = statement("lock_waiting")
_KEEP = statement("keep_signal")
_FIND = statement("find_signal")
_TAKE = statement("take_signal")


@dataclass(frozen=True, slots=True, kw_only=True)
class WaitingStep:
    """A step of a signal, whose row we hold."""

    position: int
    state: StepState
    attempt: int
    started_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class CancelledStep:
    """A step that was suspended and is cancelled."""

    position: int
    attempt: int
    times: AttemptTimes


class Waiting:
    """The steps that wait, what wakes them, and the ``signals`` table."""

    def __init__(self, connection: Connection[Any]) -> None:
        """Work on the given connection."""
        self._connection = connection

    def suspend(self, attempt: StepAttempt) -> bool:
        """Let a running attempt wait; False if it does not run or its run is ending."""
        return self._connection.execute(_SUSPEND, _key(attempt)).fetchone() is not None

    def resume(self, attempts: Sequence[StepAttempt]) -> Mapping[StepAttempt, Claim]:
        """Make those of these attempts run that are suspended; the caller ends them in this transaction."""
        asked = {
            "run_ids": [each.run_id for each in attempts],
            "positions": [each.position for each in attempts],
            "attempts": [each.attempt for each in attempts],
        }
        return {
            StepAttempt(
                plan_id=row.plan_id, run_id=RunId(row.run_id), position=row.position, attempt=row.attempt
            ): as_claim(row)
            for row in self._connection.execute(_RESUME, asked)
        }

    def cancel(self, run_id: RunId, positions: Sequence[int]) -> list[CancelledStep]:
        """Cancel held steps that are suspended, and forget what would have woken them."""
        rows = self._connection.execute(_CANCEL, {"run_id": run_id, "positions": list(positions)})
        return [
            CancelledStep(
                position=row.position,
                attempt=row.attempt,
                times=AttemptTimes(dispatched_at=row.dispatched_at, started_at=row.started_at),
            )
            for row in rows
        ]

    def set_wake(self, command: SuspendStep) -> datetime | None:
        """Set the timer of a wait and return when it is due; None for a wait that has no limit."""
        wait = command.wait
        if wait.until is None and wait.seconds is None:
            return None
        asked = {**_key(command), "plan_id": command.plan_id, "until": wait.until, "seconds": wait.seconds}
        row = self._connection.execute(_SET_WAKE, asked).fetchone()
        return None if row is None else row.due_at

    def drop_wake(self, attempt: StepAttempt) -> None:
        """Forget the timer of a wait that is over."""
        self._connection.execute(_DROP_WAKE, _key(attempt))

    def lock(self, run_id: RunId, positions: Sequence[int]) -> list[WaitingStep]:
        """Hold steps of a run, whatever their state, until the transaction ends."""
        rows = self._connection.execute(_LOCK_WAITING, {"run_id": run_id, "positions": list(positions)})
        return [WaitingStep(**{**row._asdict(), "state": StepState(row.state)}) for row in rows]

    def keep(self, signal: DeliverSignal, consumed_by: int | None) -> bool:
        """Store a signal, and who has had it, if somebody has; False if the run has one with its key."""
        row = self._connection.execute(_KEEP, {**_values(signal), "consumed_by": consumed_by}).fetchone()
        return row is not None

    def find(self, signal: DeliverSignal) -> bool | None:
        """Return whether the run's signal with this key says the same; None if there is none."""
        row = self._connection.execute(_FIND, _values(signal)).fetchone()
        return None if row is None else bool(row.same)

    def take(self, run_id: RunId, name: str, position: int) -> str | None:
        """Give the oldest kept signal of a name to a step; return its payload as JSON text, None if there is none."""
        row = self._connection.execute(_TAKE, {"run_id": run_id, "name": name, "position": position}).fetchone()
        return None if row is None else str(row.payload)


def _key(attempt: StepAttempt) -> dict[str, Any]:
    return {"run_id": attempt.run_id, "position": attempt.position, "attempt": attempt.attempt}


def _values(signal: DeliverSignal) -> dict[str, Any]:
    return {
        "run_id": signal.run_id,
        "name": signal.name,
        "payload": signal.payload,
        "actor": signal.actor,
        "key": signal.key,
    }

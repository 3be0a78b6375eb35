"""Fire timers: do what they were set for, all of a kind at once."""

import logging
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from typing import Final

from workflow_engine.engine.dispatcher import Dispatch
from workflow_engine.engine.handlers.deadline import remind, tell_overdue, time_out_runs
from workflow_engine.engine.handlers.overdue import fail_overtime, fail_silent
from workflow_engine.engine.handlers.readiness import hand_out
from workflow_engine.engine.handlers.run import expire_runs, stop_cancelled
from workflow_engine.engine.handlers.schedule import fire_schedules
from workflow_engine.engine.handlers.scope import Scope
from workflow_engine.engine.handlers.waiting import wake_steps
from workflow_engine.engine.outcome import Outcome
from workflow_engine.ids import RunId
from workflow_engine.model.commands import FireTimers
from workflow_engine.model.timers import Timer, TimerKind
from workflow_engine.store.transaction import INTERRUPTED

logger = logging.getLogger(__name__)

Fire = Callable[[Sequence[Timer], Scope], tuple[Dispatch, ...]]
POSTPONED: Final = timedelta(minutes=1)
"""When a timer that could not be fired is due again."""


def fire_timers(command: FireTimers, scope: Scope) -> Outcome:
    """Take what is due and do what it is for, in this transaction; the value is the timers."""
    due = scope.tx.timers.take_due(KINDS, command.limit)
    by_kind: dict[str, list[Timer]] = defaultdict(list)
    for timer in due:
        by_kind[timer.kind].append(timer)
    dispatches: list[Dispatch] = []
    for kind in KINDS:  # in this order: a run that is overdue was due soon before
        if kind in by_kind:
            dispatches += _fire(kind, by_kind[kind], scope)
    return Outcome(value=due, dispatches=tuple(dispatches))


def _fire(kind: str, timers: Sequence[Timer], scope: Scope) -> tuple[Dispatch, ...]:
    """Fire timers of a kind; one that cannot be fired is postponed and does not keep the others from it."""
    try:
        with scope.attempt():
            return _FIRE[TimerKind(kind)](timers, scope)
    except INTERRUPTED:
        raise  # the database is away, or chose us as a deadlock's victim: all of it again, a little later
    except Exception:
        if len(timers) > 1:
            return tuple(dispatch for timer in timers for dispatch in _fire(kind, [timer], scope))
        subject = timers[0].run_id or f"schedule {timers[0].schedule_id}"
        logger.exception("timer %s of %s cannot be fired; it is tried again", kind, subject)
        scope.tx.timers.postpone(timers[0], POSTPONED)
        return ()


def _runs(timers: Sequence[Timer]) -> list[RunId]:
    return list(dict.fromkeys(timer.run_id for timer in timers if timer.run_id is not None))


def _step_ready(timers: Sequence[Timer], scope: Scope) -> tuple[Dispatch, ...]:
    return hand_out(scope, limit=None, run_ids=_runs(timers), triggered_by="timer")[1]


def _run_expiry(timers: Sequence[Timer], scope: Scope) -> tuple[Dispatch, ...]:
    expire_runs(_runs(timers), scope)
    return ()


_FIRE: Final[Mapping[TimerKind, Fire]] = {
    TimerKind.STEP_READY: _step_ready,
    TimerKind.RUN_EXPIRY: _run_expiry,
    TimerKind.HEARTBEAT: fail_silent,
    TimerKind.STEP_TIMEOUT: fail_overtime,
    TimerKind.WAKE: wake_steps,
    TimerKind.SCHEDULE: fire_schedules,
    TimerKind.REMINDER: remind,
    TimerKind.OVERDUE: tell_overdue,
    TimerKind.RUN_TIMEOUT: time_out_runs,
    TimerKind.CANCEL_GRACE: stop_cancelled,
}

KINDS: Final = tuple(kind.value for kind in _FIRE)
"""What this release can fire; timers of a newer one wait for it."""

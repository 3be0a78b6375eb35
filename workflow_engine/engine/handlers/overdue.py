"""Fail attempts that show no sign of life, or take longer than their step may."""

from collections.abc import Callable, Sequence
from datetime import timedelta

from workflow_engine.engine.dispatcher import Dispatch
from workflow_engine.engine.handlers.scope import Scope
from workflow_engine.engine.handlers.step import fail_step
from workflow_engine.errors import HeartbeatTimeout, StepTimeout
from workflow_engine.ids import RunId
from workflow_engine.model.commands import FailStep, StepAttempt, StepError
from workflow_engine.model.timers import Timer
from workflow_engine.plan.plan import PlannedStep
from workflow_engine.plan.retries import delay_after


def fail_silent(timers: Sequence[Timer], scope: Scope) -> tuple[Dispatch, ...]:
    """Fail running attempts whose handler has not called ``ctx.heartbeat()`` in time.

    One that could not, because PostgreSQL was away, gets its time anew.
    """
    age = scope.tx.timers.server_age()
    silent = []
    for timer in timers:
        left = timedelta(seconds=_planned(timer, scope).heartbeat_timeout or 0) - age
        if left > timedelta(0):
            scope.tx.timers.postpone(timer, left)
        else:
            silent.append(timer)
    return _fail(silent, scope, lambda step: HeartbeatTimeout(step.name, step.heartbeat_timeout or 0))


def fail_overtime(timers: Sequence[Timer], scope: Scope) -> tuple[Dispatch, ...]:
    """Fail running attempts whose handler has not returned in time."""
    return _fail(timers, scope, lambda step: StepTimeout(step.name, step.timeout or 0))


def _fail(timers: Sequence[Timer], scope: Scope, error_of: Callable[[PlannedStep], Exception]) -> tuple[Dispatch, ...]:
    """Let each fail as if its handler had raised; whether it is tried again, its plan says."""
    running = scope.tx.steps.find_running([_attempt(timer) for timer in timers])
    for each, forgiven in sorted(running.items(), key=lambda item: (item[0].run_id, item[0].position)):
        step = scope.plan(each.plan_id)[each.position]
        error = error_of(step)
        fail_step(
            FailStep(
                plan_id=each.plan_id,
                run_id=each.run_id,
                position=each.position,
                attempt=each.attempt,
                error=StepError(error_class=type(error).__name__, message=str(error)),
                retry_in=delay_after(step, error, each.attempt - forgiven),
            ),
            scope,
        )
    return ()


def _planned(timer: Timer, scope: Scope) -> PlannedStep:
    attempt = _attempt(timer)
    return scope.plan(attempt.plan_id)[attempt.position]


def _attempt(timer: Timer) -> StepAttempt:
    return StepAttempt(
        plan_id=(timer.data or {})["plan_id"],
        run_id=RunId(timer.run_id or ""),
        position=timer.position or 0,
        attempt=timer.attempt or 0,
    )

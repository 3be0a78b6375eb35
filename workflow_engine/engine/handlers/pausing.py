"""Pause and resume runs."""

from datetime import timedelta

from workflow_engine.engine import publisher
from workflow_engine.engine.handlers.scope import Scope
from workflow_engine.engine.outcome import Outcome
from workflow_engine.errors import RunEnded, RunNotFound
from workflow_engine.model.commands import PauseRun, ResumeRun, RunCommand, StepAttempt
from workflow_engine.model.run import FINAL_RUN_STATES, RunState, RunTrigger
from workflow_engine.model.step import StepState
from workflow_engine.store.hot_steps import Settle
from workflow_engine.store.runs import LockedRun
from workflow_engine.store.steps import HeldStep

_OVER = FINAL_RUN_STATES | {RunState.CANCELLING}


def pause_run(command: PauseRun, scope: Scope) -> Outcome:
    """Start nothing more of a run: also not what was sent and no worker has taken.

    Raises:
        RunNotFound: there is no such run.
        RunEnded: it has ended, or is being cancelled.
    """
    held, run = _held(command, scope)
    if run.state is RunState.PAUSED:
        return Outcome(value=False)
    scope.tx.runs.move(command.run_id, RunTrigger.PAUSE)
    running = sum(step.state is StepState.RUNNING for step in held)
    scope.publish(command.run_id, publisher.run_paused(command.reason, command.actor, running))
    _take_back(command, held, run, scope)
    scope.tx.retrying.pause_steps(command.run_id)
    return Outcome(value=True)


def resume_run(command: ResumeRun, scope: Scope) -> Outcome:
    """Let a paused run go on; the coordinator hears of it at the commit and hands out what is ready.

    Raises:
        RunNotFound: there is no such run.
        RunEnded: it has ended, or is being cancelled.
    """
    held, run = _held(command, scope)
    if run.state is not RunState.PAUSED:
        return Outcome(value=False)
    unfinished = {step.position for step in held}
    sinks = sum(sink in unfinished for sink in scope.plan(run.plan_id).sinks)
    scope.tx.retrying.resume_steps(command.run_id, Settle.NO if run.error is None else Settle.ASK)
    state = scope.tx.runs.resume(command.run_id, sinks)
    scope.publish(command.run_id, publisher.run_resumed(state, command.reason, command.actor))
    return Outcome(value=True)


def _held(command: RunCommand, scope: Scope) -> tuple[list[HeldStep], LockedRun]:
    held = scope.tx.steps.lock_unfinished(command.run_id)
    run = scope.tx.runs.lock(command.run_id)
    if run is None:
        raise RunNotFound(command.run_id)
    if run.state in _OVER:
        raise RunEnded(command.run_id, run.state)
    return held, run


def _take_back(command: PauseRun, held: list[HeldStep], run: LockedRun, scope: Scope) -> None:
    """Make steps ready again that were sent: their messages claim nothing when they come."""
    attempts = [
        StepAttempt(plan_id=run.plan_id, run_id=command.run_id, position=step.position, attempt=step.attempt)
        for step in held
        if step.state is StepState.DISPATCHED
    ]
    plan = scope.plan(run.plan_id)
    released = sorted(position for _, position in scope.tx.steps.release(attempts, timedelta(0)))
    scope.publish(
        command.run_id, *(publisher.step_released(plan[position].name, "the run was paused") for position in released)
    )

"""Resolve steps by hand."""

import json
from typing import Final

from workflow_engine.engine import publisher
from workflow_engine.engine.handlers.retrying import bring_back
from workflow_engine.engine.handlers.run import settle_run
from workflow_engine.engine.handlers.scope import RunEnvelope, Scope
from workflow_engine.engine.handlers.step import what_completed
from workflow_engine.engine.outcome import Outcome
from workflow_engine.engine.plan_cache import dispatches
from workflow_engine.errors import IllegalTransition, RunEnded, RunNotFound, WrongState
from workflow_engine.model.commands import ResolveStep, RetrySteps, StepAttempt
from workflow_engine.model.dead_letters import DeadLetterState
from workflow_engine.model.run import RunState
from workflow_engine.model.step import STEP_TRANSITIONS, StepState, StepTrigger
from workflow_engine.store.hot_steps import Success
from workflow_engine.store.runs import LockedRun
from workflow_engine.store.steps import FoundStep

_CLOSED: Final = frozenset({RunState.SUCCEEDED, RunState.CANCELLING, RunState.CANCELLED, RunState.EXPIRED})
_BEGUN: Final = frozenset({StepState.RUNNING, StepState.SUSPENDED})
_WHY_NOT: Final = {
    StepState.WAITING: "it waits for its parents; resolve those",
    StepState.SUCCEEDED: "it has another result, which others may have used; rerun the run from it",
    StepState.SKIPPED: "it was skipped because another one failed; resolve or retry that one",
    StepState.CANCELLED: "it was cancelled because another one failed; resolve or retry that one",
}


def resolve_step(command: ResolveStep, scope: Scope) -> Outcome:
    """Let a step succeed with a result given by hand; a failed run goes on. The value is whether that was news.

    Raises:
        RunNotFound: there is no such run.
        RunEnded: the run has succeeded, was cancelled or has expired.
        WrongState: the step waits for its parents, has another result, or ended because of another one.
    """
    steps = scope.tx.retrying.lock(command.run_id)
    run = scope.tx.runs.lock(command.run_id)
    if run is None:
        raise RunNotFound(command.run_id)
    step = scope.tx.steps.find(command.run_id, command.position)
    if step.state is StepState.SUCCEEDED and json.loads(step.result or "null") == json.loads(command.result):
        return Outcome(value=False)
    if run.state in _CLOSED:
        raise RunEnded(command.run_id, run.state)
    was = step.state
    if was is StepState.FAILED:
        _close_letter(command, scope)
        retry = RetrySteps(run_id=command.run_id, reason=command.reason, actor=command.actor)
        bring_back(retry, run, steps, {command.position}, scope)
        step = scope.tx.steps.find(command.run_id, command.position)
    if (step.state, StepTrigger.RESOLVE) not in STEP_TRANSITIONS:
        name = scope.plan(run.plan_id)[command.position].name
        raise WrongState(f"step {name!r} of run {command.run_id}", was, _WHY_NOT[was])
    return _succeed(command, step, was, run, scope)


def _close_letter(command: ResolveStep, scope: Scope) -> None:
    scope.tx.step_dead_letters.close(
        command.run_id,
        [command.position],
        DeadLetterState.RESOLVED,
        reason=command.reason,
        actor=command.actor,
    )


def _succeed(command: ResolveStep, step: FoundStep, was: StepState, run: LockedRun, scope: Scope) -> Outcome:
    """Record the result as the step's own worker would have."""
    plan, position = scope.plan(run.plan_id), command.position
    attempt = StepAttempt(plan_id=run.plan_id, run_id=command.run_id, position=position, attempt=step.attempt)
    if scope.tx.runs.start(command.run_id):
        scope.publish(command.run_id, publisher.run_started(plan.workflow, plan.version))
    if step.state is StepState.SUSPENDED:
        scope.tx.waiting.drop_wake(attempt)
    resolved = publisher.step_resolved(
        plan[position].name,
        step.attempt if step.state in _BEGUN else None,
        was=was,
        reason=command.reason,
        actor=command.actor,
    )
    succeeded = publisher.run_succeeded(plan, run.times) if plan[position].is_sink else None
    completion = scope.tx.steps.complete(
        Success(of=attempt, result=command.result, was=step.state),
        scope.plans.planned_write(run.plan_id, position, scope.tx),
        resolved,
        succeeded,
        settle=step.settle,
    )
    if completion is None:  # all its rows are held, so nobody can have moved it
        raise IllegalTransition(step.state, StepTrigger.RESOLVE)
    envelope = RunEnvelope(command.run_id, plan, run.correlation_id, run.traceparent)
    scope.tell(envelope, completion.occurred_at, lambda: what_completed(plan, resolved, succeeded, completion))
    scope.begin_moment()
    if step.settle:
        settle_run(command.run_id, scope)
    free = [(child, 1) for child in completion.dispatched]
    return Outcome(
        value=True, dispatches=dispatches(plan, run.plan_id, command.run_id, free, run.priority, run.traceparent)
    )

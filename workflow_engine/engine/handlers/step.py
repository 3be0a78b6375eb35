"""Claim, complete, fail, lose, stop and release steps; let go of what waited for them."""

from collections.abc import Iterator
from datetime import timedelta

from workflow_engine.definitions.policies import FailurePolicy
from workflow_engine.engine import publisher
from workflow_engine.engine.handlers.readiness import redispatches
from workflow_engine.engine.handlers.run import end_unstarted, settle_run
from workflow_engine.engine.handlers.scope import RunEnvelope, Scope
from workflow_engine.engine.outcome import NOTHING, Outcome
from workflow_engine.engine.plan_cache import dispatches
from workflow_engine.model.commands import (
    ClaimStep,
    CompleteStep,
    FailStep,
    LoseStep,
    ReleaseSteps,
    StepAttempt,
    StepError,
    StopStep,
)
from workflow_engine.model.events import Event
from workflow_engine.model.records import Claim, Completion
from workflow_engine.model.run import RunState
from workflow_engine.model.step import StepState
from workflow_engine.plan.plan import Plan
from workflow_engine.store.event_log import Fact
from workflow_engine.store.steps import Settle, Success


def claim_step(command: ClaimStep, scope: Scope) -> Outcome | None:
    """Give the attempt to a worker; None if it was not waiting to be claimed."""
    planned = scope.plans.planned_write(command.plan_id, command.position, scope.tx)
    started = publisher.step_started(planned.step, command.attempt, command.worker_name)
    claimed = scope.tx.steps.claim(command, planned, started)
    if claimed is None:
        return None
    plan, claim = scope.plan(command.plan_id), claimed.claim
    started_at = claim.attempt_times.started_at
    scope.tell(_envelope(command, plan, claim), started_at, lambda: _begun(plan, started, claim))
    return Outcome(value=claimed)


def _envelope(command: StepAttempt, plan: Plan, claim: Claim) -> RunEnvelope:
    return RunEnvelope(command.run_id, plan, claim.correlation_id, claim.traceparent)


def _begun(plan: Plan, started: Event, claim: Claim) -> Iterator[tuple[Event, str | None]]:
    if claim.run_begun:
        yield publisher.run_started(plan.workflow, plan.version), started.as_cause
    yield started, None


def repair_step(command: StepAttempt, scope: Scope) -> Outcome:
    """Answer a message whose attempt nobody waits for: send again what its completion set free and nobody claimed.

    The worker that completed it may have died between its commit and its publish; then this is the redelivery.
    """
    plan = scope.plan(command.plan_id)
    unclaimed = scope.tx.steps.find_repair(command, plan[command.position].children)
    return Outcome(dispatches=redispatches(unclaimed, scope))


def complete_step(command: CompleteStep, scope: Scope) -> Outcome | None:
    """Record a success of a run that goes well, in one statement; None if that is not what it is."""
    return _complete(command, scope)


def complete_ending_step(command: CompleteStep, scope: Scope) -> Outcome:
    """Record a success of a paused, failing or cancelled run, and finish the run if this was the last step.

    If it is neither, it was recorded before: the worker lost its connection between the commit and the answer, say, and
    asks again. Then what the first time set free may still have to be sent.
    """
    settle = scope.tx.steps.hold_attempt(command)
    # It may say no: what had failed of the run was requeued, or the run resumed, since the hot statement looked.
    outcome = None if settle is None else _complete(command, scope, settle)
    if outcome is None:
        return repair_step(command, scope)
    scope.begin_moment()  # its event has one of its own: what follows from it comes after that
    if settle:
        settle_run(command.run_id, scope)
    return outcome


def _complete(command: CompleteStep, scope: Scope, settle: Settle = Settle.NO) -> Outcome | None:
    planned = scope.plans.planned_write(command.plan_id, command.position, scope.tx)
    plan, claim = scope.plan(command.plan_id), command.claim
    completed = publisher.step_completed(planned.step, command.attempt, claim.attempt_times, command.seconds)
    succeeded = publisher.run_succeeded(plan, claim.run_times) if planned.is_sink else None
    success = Success(of=command, result=command.result)
    completion = scope.tx.steps.complete(success, planned, completed, succeeded, settle=settle)
    if completion is None:
        return None
    told = _envelope(command, plan, claim)
    scope.tell(told, completion.occurred_at, lambda: what_completed(plan, completed, succeeded, completion))
    free = [(position, 1) for position in completion.dispatched]
    return Outcome(
        value=completion,
        dispatches=dispatches(plan, command.plan_id, command.run_id, free, completion.run_priority, claim.traceparent),
    )


def what_completed(
    plan: Plan, completed: Event, succeeded: Event | None, completion: Completion
) -> Iterator[tuple[Event, str | None]]:
    """Yield what the statement that completes a step has told the log, each event with what led to it."""
    yield completed, None
    for position in completion.dispatched:
        child = plan[position]
        yield publisher.step_dispatched(child.name, 1, child.queue, "step_completed"), completed.as_cause
    if completion.run_finished and succeeded is not None:
        yield succeeded, completed.as_cause


def fail_step(command: FailStep, scope: Scope) -> Outcome:
    """Record a failed attempt: the next one is due later, or the step has failed for good."""
    if command.retry_in is not None and _is_tried_again(command, command.retry_in, scope):
        return NOTHING
    return _fail_for_good(command, command.error, scope)


def _is_tried_again(command: FailStep, delay: timedelta, scope: Scope) -> bool:
    times = scope.tx.steps.retry(command, delay, command.error)
    if times is None:
        # Late, or the run is ending; or it was, until somebody requeued what had failed.
        scope.tx.steps.lock_unfinished(command.run_id)
        times = scope.tx.steps.retry(command, delay, command.error)
    if times is None:
        return False
    name = scope.plan(command.plan_id)[command.position].name
    seconds = delay.total_seconds()
    scope.publish(command.run_id, publisher.step_retrying(name, command.attempt, times, command.error, seconds))
    return True


def lose_step(command: LoseStep, scope: Scope) -> Outcome:
    """Make a step whose process is gone ready again, or fail it if it has taken too many with it."""
    step = scope.plan(command.plan_id)[command.position]
    error = StepError(error_class="WorkerLost", message=command.reason)
    times = scope.tx.steps.lose(command, error, scope.loss_limit)
    if times is None:  # as in _is_tried_again
        scope.tx.steps.lock_unfinished(command.run_id)
        times = scope.tx.steps.lose(command, error, scope.loss_limit)
    if times is not None:
        scope.publish(command.run_id, publisher.step_lost(step.name, command.attempt, times, command.reason))
        return NOTHING
    return _fail_for_good(command, error, scope)


def stop_step(command: StopStep, scope: Scope) -> Outcome:
    """A handler stopped because its run is being cancelled; if it is not, the handler gave up by itself and failed."""
    if scope.tx.steps.is_current(command):
        error = StepError(error_class="StepCancelled", message="the handler raised it, but the run is not cancelled")
        return _fail_for_good(command, error, scope)
    times = scope.tx.steps.end(command, StepState.CANCELLED)
    if times is None:
        return NOTHING
    name = scope.plan(command.plan_id)[command.position].name
    run = scope.tx.runs.lock(command.run_id)
    is_cancelled = run is not None and run.state is RunState.CANCELLING
    because = "the run was cancelled" if is_cancelled else "the run timed out"
    scope.publish(command.run_id, publisher.step_cancelled(name, because, command.attempt, times))
    settle_run(command.run_id, scope)
    return NOTHING


def _fail_for_good(command: StepAttempt, error: StepError, scope: Scope) -> Outcome:
    """End a step as failed and decide what becomes of the rest of its run."""
    held = scope.tx.steps.lock_unfinished(command.run_id)
    times = scope.tx.steps.end(command, StepState.FAILED, error)
    if times is None:
        return NOTHING  # late: somebody else has ended or given away this attempt
    plan = scope.plan(command.plan_id)
    step = plan[command.position]
    scope.publish(command.run_id, publisher.step_failed(step.name, command.attempt, times, error))
    run = scope.tx.runs.lock(command.run_id)
    if run is not None and run.state is not RunState.CANCELLING:
        scope.tx.runs.fail_later(command.run_id, step.name, error)
    scope.tx.step_dead_letters.keep(command, step.name, error)
    others = [each for each in held if each.position != command.position]
    because = f"step {step.name!r} failed"
    if plan.on_failure == FailurePolicy.FAIL_FAST:
        end_unstarted(command.run_id, others, plan, because, scope)
    else:
        _skip_descendants(command, plan, step.name, scope)
        scope.tx.steps.mark_settle(command.run_id, Settle.ASK)
    settle_run(command.run_id, scope)
    return NOTHING


def _skip_descendants(command: StepAttempt, plan: Plan, because: str, scope: Scope) -> None:
    descendants = plan.descendants([command.position])
    skipped = scope.tx.steps.end_unstarted(command.run_id, descendants, StepState.SKIPPED)
    scope.publish(command.run_id, *(publisher.step_skipped(plan[position].name, because) for position in skipped))


def release_steps(command: ReleaseSteps, scope: Scope) -> Outcome:
    """Make steps ready again that could not be handed over."""
    plan_ids = {(attempt.run_id, attempt.position): attempt.plan_id for attempt in command.attempts}
    released = scope.tx.steps.release(command.attempts, command.retry_in)
    scope.append(
        [
            Fact(
                run_id=run_id,
                event=publisher.step_released(scope.plan(plan_ids[run_id, position])[position].name, command.reason),
            )
            for run_id, position in released
        ]
    )
    return NOTHING

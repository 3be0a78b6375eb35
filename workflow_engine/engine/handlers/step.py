"""Claim, complete, fail, lose, stop and release steps; let go of what waited for them."""

from collections.abc import Iterator
from datetime import timedelta

from workflow_engine.definitions.policies import FailurePolicy
from workflow_engine.engine import publisher
from workflow_engine.engine.bundles import bundled
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
from workflow_engine.store.hot_steps import Following, Settle, Success


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
    # Not only its children: the worker may have gone on, and have set free what it meant to run later.
    unclaimed = scope.tx.steps.find_repair(command, plan.descendants([command.position]))
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
        return _completed_before(command, scope)
    scope.begin_moment()  # its event has one of its own: what follows from it comes after that
    if settle:
        settle_run(command.run_id, scope)
    return outcome


def _completed_before(command: CompleteStep, scope: Scope) -> Outcome:
    """Answer a worker that did not hear the first answer: what it claimed then is its own still."""
    repaired = repair_step(command, scope)
    follow = command.onward.follow
    following = None if follow is None else scope.tx.steps.find_followed(command, follow)
    if following is None:
        return repaired
    times = following.times
    value = Completion(
        dispatched=(), run_finished=False, run_priority=None, occurred_at=times.started_at, following=following
    )
    return Outcome(value=value, dispatches=repaired.dispatches)


def _complete(command: CompleteStep, scope: Scope, settle: Settle = Settle.NO) -> Outcome | None:
    planned = scope.plans.planned_write(command.plan_id, command.position, scope.tx)
    plan, claim = scope.plan(command.plan_id), command.claim
    completed = publisher.step_completed(planned.step, command.attempt, claim.attempt_times, command.seconds)
    succeeded = publisher.run_succeeded(plan, claim.run_times) if planned.is_sink else None
    success = Success(of=command, result=command.result)
    following = None if settle else _following(command, plan, completed)
    completion = scope.tx.steps.complete(success, planned, completed, succeeded, settle=settle, following=following)
    if completion is None:
        return None
    told = _envelope(command, plan, claim)
    scope.tell(told, completion.occurred_at, lambda: what_completed(plan, completed, succeeded, completion, following))
    kept = set(command.onward.kept)
    if completion.following is not None:
        kept.add(completion.following.position)
    free = [(position, 1) for position in completion.dispatched if position not in kept]
    sent = dispatches(plan, command.plan_id, command.run_id, free, completion.run_priority, claim.traceparent)
    return Outcome(value=completion, dispatches=bundled(sent, command.onward.short))


def _following(command: CompleteStep, plan: Plan, completed: Event) -> Following | None:
    follow = command.onward.follow
    if follow is None:
        return None
    step = plan[follow.position]
    is_child = command.position in step.parents
    dispatched = publisher.step_dispatched(step.name, 1, step.queue, "step_completed")
    return Following(
        position=follow.position,
        is_child=is_child,
        worker_id=follow.worker_id,
        step=step.name,
        started=publisher.step_started(step.name, 1, follow.worker_name),
        cause=dispatched.as_cause if is_child else completed.as_cause,
        unknown=follow.unknown,
    )


def what_completed(
    plan: Plan,
    completed: Event,
    succeeded: Event | None,
    completion: Completion,
    following: Following | None = None,
) -> Iterator[tuple[Event, str | None]]:
    """Yield what the statement that completes a step has told the log, each event with what led to it."""
    yield completed, None
    for position in completion.dispatched:
        child = plan[position]
        yield publisher.step_dispatched(child.name, 1, child.queue, "step_completed"), completed.as_cause
    if completion.following is not None and following is not None:
        yield following.started, following.cause
    if completion.run_finished and succeeded is not None:
        yield succeeded, completed.as_cause


def fail_step(command: FailStep, scope: Scope) -> Outcome:
    """Record a failed attempt: the next one is due later, or the step has failed for good."""
    if command.retry_in is not None and _is_tried_again(command, command.retry_in, scope):
        return NOTHING
    return _fail_for_good(command, command.error, scope)


def _is_tried_again(command: FailStep, delay: timedelta, scope: Scope) -> bool:
    failed = scope.tx.steps.retry(command, delay, command.error)
    if failed is None:
        # Late, or the run is ending; or it was, until somebody requeued what had failed.
        scope.tx.steps.lock_unfinished(command.run_id)
        failed = scope.tx.steps.retry(command, delay, command.error)
    if failed is None:
        return False
    name = scope.plan(command.plan_id)[command.position].name
    event = publisher.step_retrying(name, command.attempt, failed.times, command.error, delay.total_seconds())
    scope.tx.event_log.keep_moment(failed.failed_at)  # whoever adds the delay to the event's time finds when it is due
    scope.publish(command.run_id, event)
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

"""Submit, cancel, expire and finish runs."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from workflow_engine.engine import publisher
from workflow_engine.engine.dispatcher import Dispatch
from workflow_engine.engine.handlers.scope import RunEnvelope, Scope
from workflow_engine.engine.outcome import Outcome
from workflow_engine.engine.plan_cache import dispatches
from workflow_engine.errors import IdempotencyConflict, InvalidInput
from workflow_engine.ids import RunId
from workflow_engine.model.commands import CancelRun, StepAttempt, StepError, SubmitRun
from workflow_engine.model.events import Event
from workflow_engine.model.run import FINAL_RUN_STATES, RunState, RunTrigger
from workflow_engine.model.step import StepState
from workflow_engine.model.timers import Timer, TimerKind
from workflow_engine.plan.plan import Plan
from workflow_engine.store.hot_steps import Settle
from workflow_engine.store.steps import HeldStep


@dataclass(frozen=True, slots=True, kw_only=True)
class Submitted:
    """The run a submit led to: a new one, or the one that already had its idempotency key."""

    run_id: RunId
    created: bool


def submit_run(command: SubmitRun, scope: Scope, *, deferred: bool = False) -> Outcome:
    """Store a run; dispatch its roots unless it is scheduled for later or somebody else's transaction decides."""
    plan = scope.plan(command.plan_id)
    dispatch = is_due_at_once(command) and not deferred
    event = publisher.run_submitted(plan, command.options.initiator)
    stored_at = scope.tx.runs.submit(
        command,
        scope.plans.root_steps(command.plan_id, scope.tx),
        submitted=event.data,
        dispatch=dispatch,
        deferred=deferred,
        timeout=command.options.timeout or plan.timeout,
    )
    if stored_at is None:
        return Outcome(value=_first_with_this_key(command, plan, scope))
    scope.tell(envelope(command, plan), stored_at, lambda: submitted_events(event, plan, dispatch=dispatch))
    return Outcome(
        value=Submitted(run_id=command.run_id, created=True),
        dispatches=root_dispatches(command, plan) if dispatch else (),
    )


def is_due_at_once(command: SubmitRun) -> bool:
    """Return whether a run may start when it is stored; an occurrence of a schedule is due by then."""
    return command.options.scheduled_at is None or command.schedule_id is not None


def envelope(command: SubmitRun, plan: Plan) -> RunEnvelope:
    """Return what the events of a new run have in common."""
    options = command.options
    return RunEnvelope(command.run_id, plan, options.correlation_id or command.run_id, options.traceparent)


def submitted_events(event: Event, plan: Plan, *, dispatch: bool) -> Iterator[tuple[Event, str | None]]:
    """Yield what a submit has published, each event with what led to it."""
    yield event, None
    if dispatch:
        for root in plan.roots:
            yield publisher.step_dispatched(plan[root].name, 1, plan[root].queue, "submit"), event.as_cause


def root_dispatches(command: SubmitRun, plan: Plan) -> tuple[Dispatch, ...]:
    """Return what to send for the roots of a new run."""
    roots = [(root, 1) for root in plan.roots]
    options = command.options
    return dispatches(plan, command.plan_id, command.run_id, roots, options.priority, options.traceparent)


def _first_with_this_key(command: SubmitRun, plan: Plan, scope: Scope) -> Submitted:
    key = command.options.idempotency_key or ""
    owner = scope.tx.runs.find_by_key(plan.namespace, plan.workflow, key)
    if owner is None:
        raise InvalidInput("session", "is on a database where this workflow is not registered")
    if owner.input_digest != command.input_digest:
        raise IdempotencyConflict(key, owner.run_id)
    return Submitted(run_id=owner.run_id, created=False)


def cancel_run(command: CancelRun, scope: Scope) -> Outcome:
    """Cancel every step that does not run; the run is cancelled once none does. The value says if it was cancelled."""
    held = scope.tx.steps.lock_unfinished(command.run_id)
    run = scope.tx.runs.lock(command.run_id)
    if run is None or run.state in FINAL_RUN_STATES:
        return Outcome(value=False)
    running = sum(step.state is StepState.RUNNING for step in held)
    if not scope.tx.runs.move(command.run_id, RunTrigger.CANCEL):  # asked before; perhaps somebody is less patient now
        if command.grace is not None and running:
            scope.tx.timers.set_for_run(TimerKind.CANCEL_GRACE, command.run_id, command.grace)
        return Outcome(value=True)
    scope.publish(command.run_id, publisher.run_cancelling(command.reason, command.actor, running))
    plan = scope.plan(run.plan_id)
    end_unstarted(command.run_id, held, plan, "the run was cancelled", scope)
    if running:
        grace = scope.grace if command.grace is None else command.grace
        scope.tx.timers.set_for_run(TimerKind.CANCEL_GRACE, command.run_id, grace)
    settle_run(command.run_id, scope)
    return Outcome(value=True)


def stop_cancelled(timers: Sequence[Timer], scope: Scope) -> tuple[Dispatch, ...]:
    """End what still runs of cancelled runs; their workers see at the next heartbeat that it is no longer theirs."""
    run_ids = list(dict.fromkeys(timer.run_id for timer in timers if timer.run_id is not None))
    for run_id in scope.tx.runs.find_cancelling(run_ids):
        held = scope.tx.steps.lock_unfinished(run_id)
        run = scope.tx.runs.lock(run_id)
        if run is None or run.state is not RunState.CANCELLING:
            continue  # what ran has stopped while we waited for its row
        for step in held:
            _stop(StepAttempt(plan_id=run.plan_id, run_id=run_id, position=step.position, attempt=step.attempt), scope)
        settle_run(run_id, scope)
    return ()


def _stop(attempt: StepAttempt, scope: Scope) -> None:
    times = scope.tx.steps.end(attempt, StepState.CANCELLED)
    if times is not None:
        name = scope.plan(attempt.plan_id)[attempt.position].name
        because = "it went on after the run was cancelled"
        scope.publish(attempt.run_id, publisher.step_cancelled(name, because, attempt.attempt, times))


def expire_runs(run_ids: Sequence[RunId], scope: Scope) -> None:
    """Expire those of these runs whose time ran out before anything started."""
    for run_id in scope.tx.runs.find_expired(run_ids):
        held = scope.tx.steps.lock_unfinished(run_id)
        run = scope.tx.runs.lock(run_id)
        if run is not None and run.times.started_at is None and scope.tx.runs.move(run_id, RunTrigger.EXPIRE):
            plan = scope.plan(run.plan_id)
            scope.publish(run_id, publisher.run_expired(plan, run.times))
            end_unstarted(run_id, held, plan, "the run expired", scope)


def end_unstarted(
    run_id: RunId,
    held: list[HeldStep],
    plan: Plan,
    because: str,
    scope: Scope,
    level: Settle = Settle.ENDING,
) -> None:
    """Cancel the held steps that do not run, and make the others ask, at their end, whether the run is over."""
    positions = [step.position for step in held if step.state is not StepState.RUNNING]
    ended = scope.tx.steps.end_unstarted(run_id, positions, StepState.CANCELLED)
    scope.publish(run_id, *(publisher.step_cancelled(plan[position].name, because) for position in ended))
    if suspended := [step.position for step in held if step.state is StepState.SUSPENDED]:
        waited = scope.tx.waiting.cancel(run_id, suspended)  # their attempts have begun: the log tells their ends
        names = [plan[step.position].name for step in waited]
        scope.publish(
            run_id,
            *(
                publisher.step_cancelled(name, because, step.attempt, step.times)
                for name, step in zip(names, waited, strict=True)
            ),
        )
    scope.tx.steps.mark_settle(run_id, level)


def settle_run(run_id: RunId, scope: Scope) -> None:
    """Finish a failing or cancelled run if none of its steps can move any more.

    The caller has ended a step in this transaction. Two callers cannot both miss the end: the second one gets the
    run's lock after the first has committed, and sees its step ended.
    """
    run = scope.tx.runs.lock(run_id)
    if run is None or run.state in FINAL_RUN_STATES or scope.tx.runs.has_unfinished_steps(run_id):
        return
    plan = scope.plan(run.plan_id)
    if run.state is RunState.CANCELLING:
        scope.tx.runs.move(run_id, RunTrigger.STOP)
        scope.publish(run_id, publisher.run_cancelled(plan, run.times))
    elif run.error is not None:
        scope.tx.runs.move(run_id, RunTrigger.FAIL)
        error = StepError(error_class=run.error["error_class"], message=run.error["message"])
        scope.publish(run_id, publisher.run_failed(plan, run.times, run.error["step"], error))
    else:
        scope.tx.runs.move(run_id, RunTrigger.SUCCEED)
        scope.publish(run_id, publisher.run_succeeded(plan, run.times))

"""Let steps wait without a worker; wake them; give them their signals."""

from collections.abc import Sequence

from workflow_engine.definitions.names import did_you_mean
from workflow_engine.engine import publisher
from workflow_engine.engine.dispatcher import Dispatch
from workflow_engine.engine.handlers.run import settle_run
from workflow_engine.engine.handlers.scope import Scope
from workflow_engine.engine.handlers.step import complete_ending_step, fail_step, repair_step
from workflow_engine.engine.outcome import NOTHING, Outcome
from workflow_engine.errors import InvalidInput, RunEnded, RunNotFound, SignalTimeout
from workflow_engine.ids import RunId
from workflow_engine.model.commands import (
    CompleteStep,
    DeliverSignal,
    FailStep,
    StepAttempt,
    StepError,
    SuspendStep,
)
from workflow_engine.model.records import Claim
from workflow_engine.model.run import FINAL_RUN_STATES, RunState
from workflow_engine.model.step import StepState
from workflow_engine.model.timers import Timer
from workflow_engine.plan.plan import PlannedStep
from workflow_engine.plan.retries import delay_after

_DEAF = FINAL_RUN_STATES | {RunState.CANCELLING}


def suspend_step(command: SuspendStep, scope: Scope) -> Outcome:
    """Let a running attempt wait; if the signal it waits for was kept, complete it instead."""
    signal = command.wait.signal
    ending = scope.tx.steps.hold_attempt(command)  # from here on, a signal waits for us, or we have seen it
    if ending is None:
        return repair_step(command, scope)  # late, or asked again after a commit whose answer was lost
    if signal is not None:
        payload = scope.tx.waiting.take(command.run_id, signal, command.position)
        if payload is not None:
            return _complete(command, payload, command.claim, scope)
    if not _is_suspended(command, scope):
        return NOTHING
    until = scope.tx.waiting.set_wake(command)
    step = scope.plan(command.plan_id)[command.position]
    scope.publish(command.run_id, publisher.step_suspended(step.name, command.attempt, until, signal))
    return NOTHING


def _is_suspended(command: SuspendStep, scope: Scope) -> bool:
    """Suspend a held attempt, or cancel it if its run is ending."""
    if scope.tx.waiting.suspend(command):
        return True
    times = scope.tx.steps.end(command, StepState.CANCELLED)
    if times is not None:
        name = scope.plan(command.plan_id)[command.position].name
        scope.publish(command.run_id, publisher.step_cancelled(name, "the run is ending", command.attempt, times))
        settle_run(command.run_id, scope)
    return False


def wake_steps(timers: Sequence[Timer], scope: Scope) -> tuple[Dispatch, ...]:
    """End suspended steps that have waited long enough: who waited for the time succeeds, who for a signal fails."""
    dispatches: list[Dispatch] = []
    for attempt, claim in scope.tx.waiting.resume([_attempt(timer) for timer in timers]).items():
        step = scope.plan(attempt.plan_id)[attempt.position]
        signal = None if step.wait is None else step.wait.signal
        because = "time" if signal is None else "timeout"
        scope.publish(attempt.run_id, publisher.step_resumed(step.name, attempt.attempt, because))
        if step.wait is None or signal is None:
            outcome = _complete(attempt, "null", claim, scope)
        else:
            outcome = _time_out(attempt, step, SignalTimeout(step.name, signal, step.wait.seconds), claim, scope)
        dispatches += outcome.dispatches
    return tuple(dispatches)


def _time_out(attempt: StepAttempt, step: PlannedStep, error: SignalTimeout, claim: Claim, scope: Scope) -> Outcome:
    """Let a step fail as if its handler had raised."""
    failure = FailStep(
        plan_id=attempt.plan_id,
        run_id=attempt.run_id,
        position=attempt.position,
        attempt=attempt.attempt,
        error=StepError(error_class=type(error).__name__, message=str(error)),
        retry_in=delay_after(step, error, attempt.attempt - claim.forgiven),
    )
    return fail_step(failure, scope)


def deliver_signal(command: DeliverSignal, scope: Scope) -> Outcome:
    """Complete the step that has waited longest for a signal, or keep the signal; the value says if it was a new one.

    Raises:
        RunNotFound: there is no such run.
        RunEnded: it has ended, or is being cancelled.
        InvalidInput: no step of its workflow waits for such a signal, or the key is another signal's.
    """
    plan_id = scope.tx.views.plan_of(command.run_id)
    if plan_id is None:
        raise RunNotFound(command.run_id)
    positions = _listeners(command, plan_id, scope)
    held = scope.tx.waiting.lock(command.run_id, positions)
    if command.key is not None and _is_known(command, scope):
        return Outcome(value=False)
    state = scope.tx.views.run_state(command.run_id)  # holding a step that is not finished, we keep the run from ending
    if state is None or state in _DEAF:
        raise RunEnded(command.run_id, state or "gone", f"nothing of it will take signal {command.name!r}")
    suspended = [step for step in held if step.state is StepState.SUSPENDED]
    first = min(suspended, key=lambda step: (step.started_at, step.position), default=None)
    if not scope.tx.waiting.keep(command, None if first is None else first.position):
        return Outcome(value=_is_known(command, scope) is None)  # the same key came in at the same moment
    scope.publish(command.run_id, publisher.signal_received(command.name, command.actor))
    if first is None:
        return Outcome(value=True)
    attempt = StepAttempt(plan_id=plan_id, run_id=command.run_id, position=first.position, attempt=first.attempt)
    return Outcome(value=True, dispatches=_hand_over(attempt, command.payload, scope).dispatches)


def _listeners(command: DeliverSignal, plan_id: int, scope: Scope) -> Sequence[int]:
    plan = scope.plan(plan_id)
    if command.name not in plan.signals:
        raise InvalidInput(
            "name",
            f"no step of workflow {plan.workflow!r} waits for signal {command.name!r}"
            f"{did_you_mean(command.name, plan.signals)}",
        )
    return plan.signals[command.name]


def _is_known(command: DeliverSignal, scope: Scope) -> bool:
    same = scope.tx.waiting.find(command)
    if same is False:
        raise InvalidInput(
            "key", f"{command.key!r} already belongs to a signal of this run with another name or payload"
        )
    return bool(same)


def _hand_over(attempt: StepAttempt, payload: str, scope: Scope) -> Outcome:
    """Complete a held step that waited for a signal."""
    (claim,) = scope.tx.waiting.resume([attempt]).values()
    scope.tx.waiting.drop_wake(attempt)
    step = scope.plan(attempt.plan_id)[attempt.position]
    scope.publish(attempt.run_id, publisher.step_resumed(step.name, attempt.attempt, "signal"))
    return _complete(attempt, payload, claim, scope)


def _complete(attempt: StepAttempt, result: str, claim: Claim, scope: Scope) -> Outcome:
    """Complete a running attempt as its worker would have; its handler did nothing that took time."""
    command = CompleteStep(
        plan_id=attempt.plan_id,
        run_id=attempt.run_id,
        position=attempt.position,
        attempt=attempt.attempt,
        result=result,
        seconds=0.0,
        claim=claim,
    )
    return complete_ending_step(command, scope)


def _attempt(timer: Timer) -> StepAttempt:
    return StepAttempt(
        plan_id=(timer.data or {})["plan_id"],
        run_id=RunId(timer.run_id or ""),
        position=timer.position or 0,
        attempt=timer.attempt or 0,
    )

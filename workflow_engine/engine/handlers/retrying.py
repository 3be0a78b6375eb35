"""Retry failed steps of a run, or give them up for good."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Final

from workflow_engine.engine import publisher
from workflow_engine.engine.handlers.scope import Scope
from workflow_engine.engine.outcome import Outcome
from workflow_engine.engine.retrying import WayBack, way_back
from workflow_engine.errors import NotDead, RunNotFound
from workflow_engine.ids import RunId
from workflow_engine.model.commands import DiscardSteps, RetrySteps
from workflow_engine.model.dead_letters import DeadLetterState
from workflow_engine.model.events import Event
from workflow_engine.model.run import RunState
from workflow_engine.model.step import StepState
from workflow_engine.plan.plan import Plan
from workflow_engine.store.event_log import Fact
from workflow_engine.store.hot_steps import Settle
from workflow_engine.store.retrying import LockedStep
from workflow_engine.store.runs import LockedRun

_MAY_GO_ON: Final = frozenset({RunState.FAILED, RunState.RUNNING, RunState.PAUSED})


@dataclass(frozen=True, slots=True, kw_only=True)
class Retried:
    """What a retry moved, by step name."""

    requeued: Sequence[str]
    """Ready again: those asked for, then those that had been cancelled with them."""
    restored: Sequence[str]
    """Waiting again."""


def retry_steps(command: RetrySteps, scope: Scope) -> Outcome:
    """Let failed steps run again, and what ended because of them; the coordinator hears of it at the commit.

    Raises:
        RunNotFound: there is no such run.
        NotDead: the run has not failed and is not failing, one of the steps has not failed, or was discarded.
    """
    steps = scope.tx.retrying.lock(command.run_id)
    run = scope.tx.runs.lock(command.run_id)
    if run is None:
        raise RunNotFound(command.run_id)
    if run.state not in _MAY_GO_ON:
        raise NotDead(f"run {command.run_id}", run.state)
    plan = scope.plan(run.plan_id)
    wanted = _wanted(command, plan, steps, run.state)
    if not wanted:
        return Outcome(value=Retried(requeued=(), restored=()))
    _close(command, plan, wanted, scope)
    return Outcome(value=bring_back(command, run, steps, wanted, scope))


def bring_back(
    command: RetrySteps, run: LockedRun, steps: Sequence[LockedStep], wanted: Collection[int], scope: Scope
) -> Retried:
    """Make held steps that had failed ready, and with them what ended because of them; a failed run goes on."""
    plan = scope.plan(run.plan_id)
    back = way_back(plan, steps, wanted)
    scope.tx.retrying.requeue(command.run_id, [step.position for step in back.requeued])
    scope.tx.retrying.restore(command.run_id, back.restored)
    level = Settle.PAUSED if run.state is RunState.PAUSED else back.level
    scope.tx.retrying.reset_settle(command.run_id, level)
    scope.tx.retrying.go_on(command.run_id, sinks=back.sinks_left, error=back.error)
    events = _steps_events(command, plan, steps, back)
    if run.state is RunState.FAILED:
        resumed = publisher.run_retried(plan, steps=len(wanted), reason=command.reason, actor=command.actor)
        events = [resumed, *events]
    scope.publish(command.run_id, *events)
    return Retried(requeued=plan.names(step.position for step in back.requeued), restored=plan.names(back.restored))


def discard_steps(command: DiscardSteps, scope: Scope) -> Outcome:
    """Close dead letters; whoever asks again hears that they are closed. The value is their number.

    Raises:
        NotDead: one of the steps has no dead letter, or somebody has requeued or discarded it.
    """
    closed = scope.tx.step_dead_letters.close(
        command.run_id,
        command.positions,
        DeadLetterState.DISCARDED,
        reason=command.reason,
        actor=command.actor,
    )
    _check_all_closed(command.run_id, command.positions, {each.position for each in closed}, scope)
    scope.append(
        [
            Fact(
                run_id=command.run_id,
                event=publisher.step_discarded(each.step, each.attempt, reason=command.reason, actor=command.actor),
            )
            for each in closed
        ]
    )
    return Outcome(value=len(closed))


def _wanted(command: RetrySteps, plan: Plan, steps: Sequence[LockedStep], state: RunState) -> set[int]:
    failed = {step.position for step in steps if step.state is StepState.FAILED}
    for step in steps:
        if step.position in command.positions and step.position not in failed:
            raise NotDead(f"step {plan[step.position].name!r} of run {command.run_id}", step.state)
    if not failed and state is RunState.FAILED:  # it timed out
        raise NotDead(f"run {command.run_id}", state)
    return set(command.positions) or failed


def _close(command: RetrySteps, plan: Plan, wanted: Collection[int], scope: Scope) -> None:
    closed = scope.tx.step_dead_letters.close(
        command.run_id,
        sorted(wanted),
        DeadLetterState.REQUEUED,
        reason=command.reason,
        actor=command.actor,
    )
    _check_all_closed(command.run_id, command.positions, {each.position for each in closed}, scope)


def _check_all_closed(run_id: RunId, wanted: Sequence[int], closed: Collection[int], scope: Scope) -> None:
    """Refuse dead letters that somebody has closed before; what this transaction did is undone."""
    for position in wanted:
        if position not in closed:
            letter = scope.tx.step_dead_letters.newest(run_id, position)
            if letter is None:
                raise NotDead(f"position {position} of run {run_id}", "no failed step")
            raise NotDead(f"the dead letter {letter.id}", letter.state)


def _steps_events(command: RetrySteps, plan: Plan, steps: Sequence[LockedStep], back: WayBack) -> list[Event]:
    was = {step.position: step.state for step in steps}
    requeued = [
        publisher.step_requeued(
            plan[step.position].name,
            step.attempt or None,
            was=step.state,
            reason=command.reason,
            actor=command.actor,
        )
        for step in back.requeued
    ]
    restored = [
        publisher.step_restored(plan[position].name, was=was[position], missing=missing)
        for position, missing in back.restored.items()
    ]
    return [*requeued, *restored]

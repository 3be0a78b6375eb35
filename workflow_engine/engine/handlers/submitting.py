"""Submit many runs in one statement."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial

from workflow_engine.engine import publisher
from workflow_engine.engine.dispatcher import Dispatch
from workflow_engine.engine.handlers.run import (
    Submitted,
    envelope,
    is_due_at_once,
    root_dispatches,
    submitted_events,
)
from workflow_engine.engine.handlers.scope import Scope
from workflow_engine.engine.outcome import Outcome
from workflow_engine.errors import DatabaseUnavailable, IdempotencyConflict
from workflow_engine.ids import RunId
from workflow_engine.model.commands import SubmitRun
from workflow_engine.model.events import Event
from workflow_engine.plan.plan import Plan
from workflow_engine.store.run_batches import NewRun


@dataclass(frozen=True, slots=True)
class _Batch:
    """What the runs of a batch have in common."""

    scope: Scope
    plans: dict[int, Plan] = field(default_factory=dict)
    events: dict[tuple[int, str | None], Event] = field(default_factory=dict)

    def plan(self, command: SubmitRun) -> Plan:
        if command.plan_id not in self.plans:
            self.plans[command.plan_id] = self.scope.plan(command.plan_id)
        return self.plans[command.plan_id]

    def event(self, command: SubmitRun) -> Event:
        """Return the event that a run was stored: the payload is the same in many."""
        key = command.plan_id, command.options.initiator
        if key not in self.events:
            self.events[key] = publisher.run_submitted(self.plan(command), command.options.initiator)
        return self.events[key]

    def new_run(self, command: SubmitRun) -> NewRun:
        plan = self.plan(command)
        return NewRun(
            command=command,
            submitted=self.event(command).data,
            sinks=len(plan.sinks),
            timeout=command.options.timeout or plan.timeout,
            dispatch=is_due_at_once(command),
        )


def submit_runs(commands: Sequence[SubmitRun], scope: Scope) -> Outcome:
    """Store runs and dispatch their roots; the value has a ``Submitted`` for each, in their order.

    Raises:
        IdempotencyConflict: a key belongs to a run with another input; the transaction must end with it.
    """
    if not commands:
        return Outcome(value=[])
    batch = _Batch(scope)
    new = [batch.new_run(command) for command in commands]
    roots = {plan_id: scope.plans.root_steps(plan_id, scope.tx) for plan_id in batch.plans}
    stored = scope.tx.run_batches.submit(new, roots)
    sent: list[Dispatch] = []
    for run in new:
        if run.command.run_id in stored:
            sent += _tell(run, stored[run.command.run_id], batch)
    return Outcome(value=_answers(commands, stored, scope), dispatches=tuple(sent))


def _tell(run: NewRun, stored_at: datetime, batch: _Batch) -> Sequence[Dispatch]:
    """Note what the statement has published about a run; return what is to be sent."""
    command, plan = run.command, batch.plan(run.command)
    events = partial(submitted_events, batch.event(command), plan, dispatch=run.dispatch)
    batch.scope.tell(envelope(command, plan), stored_at, events)
    return root_dispatches(command, plan) if run.dispatch else ()


def _answers(commands: Sequence[SubmitRun], stored: Mapping[RunId, datetime], scope: Scope) -> list[Submitted]:
    """Return the run of each command: its own, or the first with its key."""
    taken = {number: command for number, command in enumerate(commands) if command.run_id not in stored}
    owners = scope.tx.run_batches.find_by_keys(taken) if taken else {}
    answers = []
    for number, command in enumerate(commands):
        owner = owners.get(number)
        if owner is None and number in taken:
            key = command.options.idempotency_key
            raise DatabaseUnavailable(f"the run with the key {key!r} was deleted at this moment; submit again")
        if owner is not None and owner.input_digest != command.input_digest:
            raise IdempotencyConflict(command.options.idempotency_key or "", owner.run_id)
        answers.append(
            Submitted(run_id=command.run_id if owner is None else owner.run_id, created=command.run_id in stored)
        )
    return answers

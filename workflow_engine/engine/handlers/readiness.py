"""Hand out steps that are ready."""

from collections.abc import Sequence
from dataclasses import dataclass

from workflow_engine.engine import publisher
from workflow_engine.engine.dispatcher import Dispatch
from workflow_engine.engine.handlers.scope import Scope
from workflow_engine.engine.outcome import Outcome
from workflow_engine.engine.plan_cache import dispatches
from workflow_engine.ids import RunId
from workflow_engine.model.commands import ProcessReadiness
from workflow_engine.store.event_log import Fact
from workflow_engine.store.steps import DueStep


@dataclass(frozen=True, slots=True, kw_only=True)
class HandedOut:
    """Steps that were dispatched because they were ready."""

    waited: Sequence[float]
    """For how long each had been ready, in seconds."""

    @property
    def number(self) -> int:
        """How many they are."""
        return len(self.waited)


def process_readiness(command: ProcessReadiness, scope: Scope) -> Outcome:
    """Dispatch steps that are ready; the value is a ``HandedOut``."""
    handed, sent = hand_out(
        scope, limit=command.limit, run_ids=command.run_ids, triggered_by=command.triggered_by, relaxed=True
    )
    return Outcome(value=handed, dispatches=sent)


def hand_out(
    scope: Scope,
    *,
    limit: int | None,
    run_ids: Sequence[RunId] | None,
    triggered_by: str,
    relaxed: bool = False,
) -> tuple[HandedOut, tuple[Dispatch, ...]]:
    """Move ready steps to ``dispatched`` and say so; return what is to be sent: nothing while the broker is away.

    With ``relaxed``, the transaction does nothing else, and its commit need not wait for the disk: what a crash of
    PostgreSQL forgets is ready again, and the message that was sent for it claims nothing.
    """
    room = scope.room()
    if room == 0:
        return HandedOut(waited=()), ()
    most = min((each for each in (limit, room) if each is not None), default=None)
    due = scope.tx.readiness.dispatch(most, run_ids, aging=scope.aging, relaxed=relaxed)
    scope.append(
        [
            Fact(
                run_id=step.run_id,
                event=publisher.step_dispatched(step.name, step.attempt, step.queue, triggered_by, step.ready_at),
            )
            for step in due
        ]
    )
    return HandedOut(waited=[step.waited for step in due]), redispatches(due, scope)


def redispatches(due: list[DueStep], scope: Scope) -> tuple[Dispatch, ...]:
    """Return what to send for steps of several runs."""
    made: list[Dispatch] = []
    for step in due:
        plan, attempts = scope.plan(step.plan_id), [(step.position, step.attempt)]
        made += dispatches(plan, step.plan_id, step.run_id, attempts, step.priority, step.traceparent)
    return tuple(made)

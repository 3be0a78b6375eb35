"""The command processor: one command, one transaction; effects after the commit."""

from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from functools import partial
from typing import Any, Final

from workflow_engine.engine.announcer import Announcer
from workflow_engine.engine.background import Background
from workflow_engine.engine.dispatcher import Dispatch, Dispatcher, NotDispatched
from workflow_engine.engine.gathering import Finish, Gathering
from workflow_engine.engine.handlers import deadline as deadline_handlers
from workflow_engine.engine.handlers import deleting as deleting_handlers
from workflow_engine.engine.handlers import pausing as pause_handlers
from workflow_engine.engine.handlers import readiness as readiness_handlers
from workflow_engine.engine.handlers import rerunning as rerun_handlers
from workflow_engine.engine.handlers import rescue as rescue_handlers
from workflow_engine.engine.handlers import resolving as resolve_handlers
from workflow_engine.engine.handlers import retrying as retry_handlers
from workflow_engine.engine.handlers import run as run_handlers
from workflow_engine.engine.handlers import schedule as schedule_handlers
from workflow_engine.engine.handlers import standstill as standstill_handlers
from workflow_engine.engine.handlers import step as step_handlers
from workflow_engine.engine.handlers import submitting as submitting_handlers
from workflow_engine.engine.handlers import timer as timer_handlers
from workflow_engine.engine.handlers import updating as updating_handlers
from workflow_engine.engine.handlers import waiting as waiting_handlers
from workflow_engine.engine.handlers.scope import Scope
from workflow_engine.engine.outcome import Outcome, Told
from workflow_engine.engine.plan_cache import PlanCache
from workflow_engine.errors import DefinitionChanged
from workflow_engine.model import commands
from workflow_engine.model.commands import Command, ReleaseSteps, StepAttempt
from workflow_engine.plan.compiler import difference
from workflow_engine.plan.plan import Plan
from workflow_engine.store.transaction import Store, Transaction, readable_errors

MANY: Final = 100
"""Steps for which nobody waits while they are sent, if they are so many."""


class Processor:
    """Executes commands."""

    def __init__(
        self,
        store: Store,
        dispatcher: Dispatcher,
        *,
        loss_limit: int = 3,
        aging: timedelta = timedelta(0),
        grace: timedelta = timedelta(seconds=30),
        announcer: Announcer | None = None,
        room: Callable[[], int | None] = lambda: None,
        background: Background | None = None,
    ) -> None:
        """Change state in ``store``, send steps through ``dispatcher``, say through ``announcer`` what happened.

        ``room`` tells how many ready steps it makes sense to take at a moment; None is any number. With ``background``,
        who submits many runs does not wait for the broker.
        """
        self._store = store
        self._dispatcher = dispatcher
        self._loss_limit = loss_limit
        self._aging = aging
        self._grace = grace
        self._announcer = announcer or Announcer()
        self._room = room
        self._background = background
        self._plans = PlanCache()
        self._gathering = Gathering(self._handle, self._store_together, Finish(self.send, self._announcer.announce))

    def execute(self, command: Command) -> Any:
        """Handle a command in one transaction, then send what it set free; return the command's answer.

        Raises:
            DatabaseUnavailable: nothing was changed.
        """
        if isinstance(command, commands.SubmitRun):
            return self._gathering.submit(command)
        outcome, told = self._handle(command)
        self.send(outcome.dispatches)
        self._announcer.announce(told)
        return outcome.value

    def execute_all(self, submits: Sequence[commands.SubmitRun]) -> list[Any]:
        """Submit several runs in one transaction, then send their roots; return the answers in order.

        The roots of many are sent after the return. Should this process die before, they are found as lost messages.

        Raises:
            IdempotencyConflict: a key belongs to a run with another input; nothing is stored.
            DatabaseUnavailable: nothing is stored.
        """

        def work(tx: Transaction) -> tuple[Outcome, Told]:
            scope = self._scope(tx)
            return submitting_handlers.submit_runs(submits, scope), scope.told

        outcome, told = self._store.transact(work)
        if self._background is None or len(outcome.dispatches) < MANY:
            self.send(outcome.dispatches)
        else:
            self._background.do(partial(self.send, outcome.dispatches))
        self._announcer.announce(told)
        answers: list[Any] = outcome.value
        return answers

    def register(self, plan: Plan) -> int:
        """Store a plan unless its version is known already; return its id.

        Raises:
            DefinitionChanged: the version is registered with another definition; the message shows the difference.
        """
        registered = self._store.transact(lambda tx: tx.plans.register(plan))
        if registered.digest != plan.digest:
            raise DefinitionChanged(plan.workflow, plan.version, difference(registered.plan, plan))
        self._plans.keep(registered)
        return registered.id

    def execute_within(self, command: commands.SubmitRun, tx: Transaction) -> Any:
        """Submit in somebody else's transaction: nothing is sent; at its commit the database tells the coordinator.

        Inline subscribers do not hear of it: whether and when it commits, only its owner knows.
        """
        with readable_errors():
            return run_handlers.submit_run(command, self._scope(tx), deferred=True).value

    def plan(self, plan_id: int) -> Plan:
        """Return a plan by its id, read from the database the first time."""
        return self._plans.get(plan_id, self._store)

    def is_current(self, attempt: StepAttempt) -> bool:
        """Return whether a running attempt may go on: its run is not being cancelled, nor the attempt given away."""
        with self._store.single() as tx:
            return tx.steps.is_current(attempt)

    def forgiven(self, attempt: StepAttempt) -> int:
        """Return how many attempts of a step count no more, for whoever ends an attempt that it did not claim."""
        with self._store.single() as tx:
            return tx.steps.forgiven(attempt)

    def send(self, dispatches: Sequence[Dispatch]) -> None:
        """Hand dispatched steps to the broker; those it does not take are ready again, a little later."""
        if not dispatches:
            return
        try:
            self._dispatcher.dispatch(dispatches)
        except NotDispatched as error:
            attempts = [attempt for dispatch in error.undelivered for attempt in dispatch.attempts]
            self.execute(ReleaseSteps(attempts=attempts, reason=error.reason, retry_in=error.retry_in))

    def _handle(self, command: Command) -> tuple[Outcome, Told]:
        single = _SINGLE.get(type(command))
        if single is not None:
            with self._store.single() as tx:
                scope = self._scope(tx)
                outcome: Outcome | None = single(command, scope)
            if outcome is not None:
                return outcome, scope.told
        handler = _HANDLERS[type(command)]

        def work(tx: Transaction) -> tuple[Outcome, Told]:
            scope = self._scope(tx)  # one for each try: what a deadlock undid has not happened
            return handler(command, scope), scope.told

        return self._store.transact(work)

    def _store_together(self, submits: Sequence[commands.SubmitRun]) -> tuple[Outcome, Told]:
        """Store runs without idempotency keys by one statement, which commits by itself."""
        with self._store.single() as tx:
            scope = self._scope(tx)
            return submitting_handlers.submit_runs(submits, scope), scope.told

    def _scope(self, tx: Transaction) -> Scope:
        told = Told(wanted=self._announcer.wanted)
        return Scope(
            tx=tx,
            plans=self._plans,
            loss_limit=self._loss_limit,
            told=told,
            room=self._room,
            aging=self._aging,
            grace=self._grace,
        )


_SINGLE: Final[Mapping[type, Callable[[Any, Scope], Outcome | None]]] = {
    commands.SubmitRun: run_handlers.submit_run,
    commands.ClaimStep: step_handlers.claim_step,
    commands.CompleteStep: step_handlers.complete_step,
}
"""Commands that are one statement, always or usually; where it answers None, the handler below takes over."""

_HANDLERS: Final[Mapping[type, Callable[[Any, Scope], Outcome]]] = {
    commands.CancelRun: run_handlers.cancel_run,
    commands.PauseRun: pause_handlers.pause_run,
    commands.ResumeRun: pause_handlers.resume_run,
    commands.RerunRun: rerun_handlers.rerun_run,
    commands.ResolveStep: resolve_handlers.resolve_step,
    commands.ClaimStep: step_handlers.repair_step,
    commands.CompleteStep: step_handlers.complete_ending_step,
    commands.FailStep: step_handlers.fail_step,
    commands.LoseStep: step_handlers.lose_step,
    commands.RescueSteps: rescue_handlers.rescue_steps,
    commands.StopStep: step_handlers.stop_step,
    commands.SuspendStep: waiting_handlers.suspend_step,
    commands.DeliverSignal: waiting_handlers.deliver_signal,
    commands.CreateSchedule: schedule_handlers.create_schedule,
    commands.UpdateSchedule: schedule_handlers.update_schedule,
    commands.PauseSchedule: schedule_handlers.pause_schedule,
    commands.ResumeSchedule: schedule_handlers.resume_schedule,
    commands.DeleteSchedule: schedule_handlers.delete_schedule,
    commands.ReleaseSteps: step_handlers.release_steps,
    commands.RetrySteps: retry_handlers.retry_steps,
    commands.DiscardSteps: retry_handlers.discard_steps,
    commands.ProcessReadiness: readiness_handlers.process_readiness,
    commands.UpdateDeadline: deadline_handlers.update_deadline,
    commands.UpdateRun: updating_handlers.update_run,
    commands.DeleteRuns: deleting_handlers.delete_runs,
    commands.FireTimers: timer_handlers.fire_timers,
    commands.TellStandstills: standstill_handlers.tell_standstills,
}

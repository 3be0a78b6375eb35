"""Every event is fired by each command that the catalogue says fires it, by no other, and once for one transition."""

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any, get_args

import pytest

from tests.support.processes import wait_until
from tests.support.recording import (
    RecordingDispatcher,
    claim,
    complete,
    event_names,
    fail,
    graph,
    key,
    lose,
    run_all,
    submit,
)
from tests.support.relays import Recorder, append, running
from workflow_engine import NotDead, Retry, Workflow, compile_plan
from workflow_engine.definitions.waiting import Wait
from workflow_engine.engine.dispatcher import Dispatch
from workflow_engine.engine.processor import Processor
from workflow_engine.ids import RunId, new_run_id
from workflow_engine.model import commands
from workflow_engine.model.commands import (
    CancelRun,
    Command,
    CreateSchedule,
    DeleteRuns,
    DeleteSchedule,
    DeliverSignal,
    DiscardSteps,
    FireTimers,
    PauseRun,
    PauseSchedule,
    ProcessReadiness,
    ReleaseSteps,
    RerunRun,
    RescueSteps,
    ResolveStep,
    ResumeRun,
    ResumeSchedule,
    RetrySteps,
    RunInput,
    StepAttempt,
    StopStep,
    SubmitRun,
    SuspendStep,
    TellStandstills,
    UpdateDeadline,
    UpdateRun,
    UpdateSchedule,
)
from workflow_engine.model.events import CATALOGUE
from workflow_engine.model.explanation import Reason
from workflow_engine.model.records import EventRecord
from workflow_engine.model.run import RunState
from workflow_engine.model.run_changes import run_changes
from workflow_engine.model.run_options import RunOptions
from workflow_engine.model.schedule import Timing
from workflow_engine.model.standstills import StaleRun
from workflow_engine.model.timers import TimerKind
from workflow_engine.relay.commands import (
    DeliveryDesk,
    DiscardDeliveries,
    ForgetSubscriber,
    ReplaySubscriber,
    RequeueDeliveries,
)
from workflow_engine.store.deliveries import DeadLetterFilter
from workflow_engine.store.transaction import Store

NOW = timedelta(0)
LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)
PAIR = {"a": (), "b": ()}
CHAIN = {"a": (), "b": ("a",)}
SCHEDULE: dict[str, Any] = {"namespace": "default", "name": "monthly", "actor": "ada"}

COMMANDS = {command.__name__ for command in get_args(Command)}
ABOUT_DELIVERY = {
    ("subscriber.dead_lettered", "Relay"),
    ("subscriber.requeued", "RequeueDeliveries"),
    ("subscriber.discarded", "DiscardDeliveries"),
    ("subscriber.discarded", "ForgetSubscriber"),
    ("subscriber.replayed", "ReplaySubscriber"),
}
"""Not by commands about runs, which the processor takes."""
AGAIN_AND_AGAIN = {
    "step.dispatched",
    "step.released",
    "run.due_soon",
    "run.overdue",
    "run.rescheduled",
    "run.updated",
    "signal.received",
}
"""An attempt that the broker or a worker could not take never happened, and is dispatched again; a run may have several
reminders, one deadline after the other, and signals."""


class WatchedProcessor(Processor):
    """Knows which command made which events."""

    def __init__(self, store: Store, dispatcher: RecordingDispatcher) -> None:
        super().__init__(store, dispatcher, loss_limit=1)
        self._log = store
        self.fired: list[tuple[str, list[EventRecord]]] = []
        self._attributed: set[str] = set()

    def execute(self, command: Command) -> Any:
        with self._log.single() as tx:
            before = tx.event_log.head()
        try:
            return super().execute(command)
        finally:
            with self._log.single() as tx:
                events = tx.event_log.read(before, 10_000)
            # a command within this one, as the release of what the broker refuses, has taken its own
            own = [event for event in events if event.event_id not in self._attributed]
            self._attributed |= {event.event_id for event in own}
            self.fired.append((type(command).__name__, own))

    @property
    def pairs(self) -> set[tuple[str, str]]:
        """What was fired by what."""
        return {(event.name, command) for command, events in self.fired for event in events}

    @property
    def events(self) -> list[EventRecord]:
        """All that was fired."""
        return [event for _, events in self.fired for event in events]


class Stage:
    """What a scenario works with."""

    def __init__(self, store: Store) -> None:
        self.broker = RecordingDispatcher()
        self.processor = WatchedProcessor(store, self.broker)
        self.store = store

    def submit(self, workflow: Workflow, **options: Any) -> RunId:
        return submit(self.processor, workflow, **options)

    def claimed(self, *steps: str) -> list[Dispatch]:
        """Take the messages for steps, and claim them."""
        messages = [self.broker.take(step) for step in steps]
        for message in messages:
            assert claim(self.processor, message) is not None
        return messages

    def complete(self, message: Dispatch) -> None:
        complete(self.processor, message)

    def fail(self, message: Dispatch, retry_in: timedelta | None = None) -> None:
        fail(self.processor, message, retry_in)

    def lose(self, message: Dispatch) -> None:
        lose(self.processor, message)

    def lose_twice(self, message: Dispatch) -> None:
        """Lose an attempt and the next one: more than it may take."""
        self.lose(message)
        self.processor.execute(ProcessReadiness(limit=10))
        (again,) = self.claimed(message.step)
        self.lose(again)

    def stop(self, message: Dispatch) -> None:
        self.processor.execute(StopStep(**key(message)))

    def fall_silent(self, message: Dispatch) -> None:
        """Let the time run out within which an attempt must show a sign of life."""
        with self.store.single() as tx:
            tx.timers.set_attempt(StepAttempt(**key(message)), {TimerKind.HEARTBEAT: 0.0})
        self.processor.execute(FireTimers(limit=10))

    def cancel(self, run_id: RunId) -> None:
        self.processor.execute(CancelRun(run_id=run_id, reason="enough", actor="ada"))

    def retry(self, run_id: RunId) -> None:
        self.processor.execute(RetrySteps(run_id=run_id, reason="repaired", actor="ada"))

    def schedule(self, **timing: Any) -> None:
        """Make a schedule whose first occurrence is long ago."""
        workflow = graph(CHAIN)
        self.processor.register(compile_plan(workflow))
        self.processor.execute(
            CreateSchedule(
                **SCHEDULE,
                workflow=workflow.name,
                version=None,
                input=RunInput(text="null", digest="-"),
                options={},
                timing=Timing(cron="0 0 1 * *", start=LONG_AGO, **timing),
            )
        )

    def time_out(self, run_id: RunId) -> None:
        """Let the time run out within which a run must end."""
        with self.store.single() as tx:
            tx.connection.execute("UPDATE runs SET created_at = '2020-01-01' WHERE id = %s", [run_id])
            tx.connection.execute("UPDATE timers SET due_at = now() WHERE run_id = %s", [run_id])
        self.processor.execute(FireTimers(limit=10))

    def suspend(self, step: str, workflow: Workflow) -> None:
        """Claim a step that waits, and let it."""
        message = self.broker.take(step)
        claimed = claim(self.processor, message)
        assert claimed is not None
        wait = next(each.wait for each in compile_plan(workflow) if each.name == step)
        assert wait is not None
        self.processor.execute(SuspendStep(**key(message), wait=wait, claim=claimed.claim))

    def signal(self, run_id: RunId) -> None:
        self.processor.execute(DeliverSignal(run_id=run_id, name="go", payload="1", actor="ada"))

    def wait_long_enough(self) -> None:
        """Let every timer come due, and fire it."""
        with self.store.single() as tx:
            tx.connection.execute("UPDATE timers SET due_at = now()")
        self.processor.execute(FireTimers(limit=10))

    def release(self, message: Dispatch) -> None:
        attempts = [StepAttempt(**key(message))]
        self.processor.execute(ReleaseSteps(attempts=attempts, reason="unknown here", retry_in=NOW))


Scenario = Callable[[Stage], None]
End = Callable[[Stage, Dispatch], None]


def runs_to_its_end(stage: Stage) -> None:
    stage.submit(graph(CHAIN))
    assert run_all(stage.processor, stage.broker) == ["a", "b"]


def is_tried_again(stage: Stage) -> None:
    stage.submit(graph(CHAIN))
    (message,) = stage.claimed("a")
    stage.fail(message, retry_in=NOW)
    stage.processor.execute(ProcessReadiness(limit=10))
    run_all(stage.processor, stage.broker)


def is_lost_and_runs_again(stage: Stage) -> None:
    stage.submit(graph(CHAIN))
    (message,) = stage.claimed("a")
    stage.lose(message)
    stage.processor.execute(ProcessReadiness(limit=10))
    run_all(stage.processor, stage.broker)


def is_taken_from_a_silent_worker(stage: Stage) -> None:
    stage.submit(graph(CHAIN))
    stage.claimed("a")
    stage.processor.execute(RescueSteps(lease=timedelta(hours=1), limit=10))
    stage.processor.execute(ProcessReadiness(limit=10))
    run_all(stage.processor, stage.broker)


def falls_silent_and_is_tried_again(stage: Stage) -> None:
    workflow = Workflow("silent")
    workflow.step(name="a", retry=Retry(max_attempts=2, base_delay=0))(lambda ctx: None)
    stage.submit(workflow)
    (message,) = stage.claimed("a")
    stage.fall_silent(message)
    stage.processor.execute(ProcessReadiness(limit=10))
    run_all(stage.processor, stage.broker)


def finds_the_broker_down(stage: Stage) -> None:
    stage.broker.is_down = True
    stage.submit(graph(CHAIN))


def is_released_by_a_worker(stage: Stage) -> None:
    stage.submit(graph(CHAIN))
    stage.release(stage.broker.take("a"))
    stage.processor.execute(ProcessReadiness(limit=10))
    run_all(stage.processor, stage.broker)


def starts_when_its_time_has_come(stage: Stage) -> None:
    stage.submit(graph(CHAIN), scheduled_at=datetime.now(UTC) + timedelta(hours=1))
    with stage.store.single() as tx:
        tx.connection.execute("UPDATE steps SET ready_at = now() WHERE ready_at IS NOT NULL")
        tx.connection.execute("UPDATE timers SET due_at = now()")
    stage.processor.execute(FireTimers(limit=10))


def is_started_by_a_schedule(stage: Stage) -> None:
    stage.schedule()
    stage.processor.execute(FireTimers(limit=10))
    assert run_all(stage.processor, stage.broker) == ["a", "b"]


def is_cancelled_for_the_next_occurrence(stage: Stage) -> None:
    stage.schedule(overlap="cancel_running")
    stage.processor.execute(FireTimers(limit=10))
    with stage.store.single() as tx:
        tx.connection.execute("UPDATE schedules SET next_at = now()")
    stage.processor.execute(FireTimers(limit=10))


def is_a_schedule_that_somebody_changes(stage: Stage) -> None:
    stage.schedule()
    stage.processor.execute(UpdateSchedule(**SCHEDULE, timing={"overlap": "skip"}, options={}, input=None, version={}))
    stage.processor.execute(PauseSchedule(**SCHEDULE))
    stage.processor.execute(ResumeSchedule(**SCHEDULE))
    stage.processor.execute(DeleteSchedule(**SCHEDULE))


def expires(stage: Stage) -> None:
    stage.submit(graph(CHAIN), expires_at=LONG_AGO)
    stage.processor.execute(FireTimers(limit=10))


def is_due_soon(stage: Stage) -> None:
    due = datetime.now(UTC) + timedelta(minutes=1)
    stage.submit(graph(CHAIN), due_at=due, remind_before=[600, 120])
    stage.processor.execute(FireTimers(limit=10))


def is_overdue(stage: Stage) -> None:
    stage.submit(graph(CHAIN), due_at=LONG_AGO)
    stage.processor.execute(FireTimers(limit=10))


def is_rescheduled(stage: Stage) -> None:
    run_id = stage.submit(graph(CHAIN))
    for _ in range(2):
        stage.processor.execute(UpdateDeadline(run_id=run_id, due_at=LONG_AGO, actor="ada"))


def is_updated(stage: Stage) -> None:
    run_id = stage.submit(graph(CHAIN))
    for title in ("first", "first", "second"):
        changes = run_changes({"title": title, "due_at": LONG_AGO})
        stage.processor.execute(UpdateRun(run_id=run_id, changes=changes, actor="ada"))


def is_deleted(stage: Stage) -> None:
    run_id = stage.submit(graph(CHAIN))
    stage.processor.execute(DeleteRuns(run_ids=[run_id]))
    run_all(stage.processor, stage.broker)
    for _ in range(2):
        stage.processor.execute(DeleteRuns(run_ids=[run_id], reason="old", actor="ada"))


def times_out(stage: Stage) -> None:
    stage.time_out(stage.submit(graph(CHAIN), timeout=60))


def is_cancelled_before_it_starts(stage: Stage) -> None:
    stage.cancel(stage.submit(graph(CHAIN)))


def ends_badly(end: End, policy: str = "fail_fast") -> Scenario:
    """Return a scenario in which a chain's first step ends without success."""

    def scenario(stage: Stage) -> None:
        stage.submit(graph(CHAIN, on_failure=policy))
        (message,) = stage.claimed("a")
        end(stage, message)

    return scenario


def is_retried(policy: str = "continue") -> Scenario:
    """Return a scenario in which a chain's first step fails, is retried, and then the run succeeds."""

    def scenario(stage: Stage) -> None:
        run_id = stage.submit(graph(CHAIN, on_failure=policy))
        (message,) = stage.claimed("a")
        stage.fail(message)
        stage.retry(run_id)
        stage.processor.execute(ProcessReadiness(limit=10))
        assert run_all(stage.processor, stage.broker) == ["a", "b"]

    return scenario


def stands_still(stage: Stage) -> None:
    stage.submit(graph(CHAIN))
    with stage.store.single() as tx:
        tx.connection.execute("UPDATE steps SET dispatched_at = dispatched_at - interval '1 day'")
    run_id, moment = str(stage.broker.sent[0].run_id), LONG_AGO
    run = StaleRun(
        run_id=RunId(run_id),
        workflow="w",
        version="1",
        state=RunState.PENDING,
        created_at=moment,
        since=moment,
        stands_for=timedelta(hours=2),
        limit=timedelta(hours=1),
        reason=Reason.NO_WORKER,
        step="a",
        sentence="",
    )
    assert stage.processor.execute(TellStandstills(runs=[run])) == 1
    assert stage.processor.execute(TellStandstills(runs=[run])) == 0


def is_discarded(stage: Stage) -> None:
    run_id = stage.submit(graph(CHAIN))
    (message,) = stage.claimed("a")
    stage.fail(message)
    stage.processor.execute(DiscardSteps(run_id=run_id, positions=[0], reason="by hand", actor="ada"))


def ends_after_a_failure(end: End) -> Scenario:
    """Return a scenario in which a step is the last to end, of a run of which another failed."""

    def scenario(stage: Stage) -> None:
        stage.submit(graph(PAIR))
        bad, last = stage.claimed("a", "b")
        stage.fail(bad)
        end(stage, last)

    return scenario


def ends_after_a_cancel(end: End) -> Scenario:
    """Return a scenario in which a step is the last to end, of a run that is cancelled."""

    def scenario(stage: Stage) -> None:
        run_id = stage.submit(graph(CHAIN))
        (last,) = stage.claimed("a")
        stage.cancel(run_id)
        end(stage, last)

    return scenario


def is_paused_and_resumed(stage: Stage) -> None:
    run_id = stage.submit(graph(CHAIN))
    stage.processor.execute(PauseRun(run_id=run_id, reason="closed", actor="ada"))
    stage.processor.execute(ResumeRun(run_id=run_id, actor="ada"))
    stage.processor.execute(ProcessReadiness(limit=10))
    run_all(stage.processor, stage.broker)


def is_resolved(stage: Stage) -> None:
    run_id = stage.submit(graph(CHAIN))
    for position in range(2):
        stage.processor.execute(ResolveStep(run_id=run_id, position=position, result="1", reason="known"))


def is_resolved_after_it_failed(stage: Stage) -> None:
    run_id = stage.submit(graph(CHAIN))
    stage.fail(*stage.claimed("a"))
    stage.processor.execute(ResolveStep(run_id=run_id, position=0, result="1", reason="known"))
    run_all(stage.processor, stage.broker)


def is_resolved_after_another_failed(stage: Stage) -> None:
    run_id = stage.submit(graph(PAIR))
    bad, _ = stage.claimed("a", "b")
    stage.fail(bad)
    stage.processor.execute(ResolveStep(run_id=run_id, position=1, result="1", reason="known"))


def is_repeated(stage: Stage) -> None:
    run_id = stage.submit(graph(CHAIN))
    run_all(stage.processor, stage.broker)
    stage.processor.execute(RerunRun(run_id=new_run_id(), of=run_id, position=1, input_digest="-", actor="ada"))
    stage.processor.execute(ProcessReadiness(limit=10))
    run_all(stage.processor, stage.broker)


Waits = Callable[[Stage, Workflow, RunId], None]


def waiting(timeout: float | None = None) -> Workflow:
    """Return a workflow that waits for a signal twice."""
    workflow = Workflow("waiting", on_failure="continue")
    workflow.wait_for_signal("go", name="first", timeout=timeout)
    workflow.wait_for_signal("go", name="last", after=["first"], timeout=timeout)
    return workflow


def waits(wait: Waits, *, beside_a_failure: bool = False, timeout: float | None = None) -> Scenario:
    """Return a scenario in which steps wait one after the other, alone or beside one that has failed."""

    def scenario(stage: Stage) -> None:
        workflow = waiting(timeout=timeout)
        if beside_a_failure:
            workflow.step(name="bad")(lambda ctx: None)
        run_id = stage.submit(workflow)
        if beside_a_failure:
            stage.fail(*stage.claimed("bad"))
        wait(stage, workflow, run_id)

    return scenario


def for_signals(stage: Stage, workflow: Workflow, run_id: RunId) -> None:
    for step in ("first", "last"):
        stage.suspend(step, workflow)
        stage.signal(run_id)


def for_signals_that_are_there(stage: Stage, workflow: Workflow, run_id: RunId) -> None:
    for step in ("first", "last"):
        stage.signal(run_id)
        stage.suspend(step, workflow)


def for_a_signal_in_vain(stage: Stage, workflow: Workflow, run_id: RunId) -> None:
    stage.suspend("first", workflow)
    stage.wait_long_enough()


def comes_to_wait_when_it_is_cancelled(stage: Stage) -> None:
    run_id = stage.submit(waiting())
    message = stage.broker.take("first")
    claimed = claim(stage.processor, message)
    assert claimed is not None
    stage.cancel(run_id)
    stage.processor.execute(SuspendStep(**key(message), wait=Wait(signal="go"), claim=claimed.claim))


def sleeps(stage: Stage) -> None:
    workflow = Workflow("sleeping")
    workflow.sleep(60, name="first")
    workflow.sleep(60, name="last", after=["first"])
    stage.submit(workflow)
    for step in ("first", "last"):
        stage.suspend(step, workflow)
        stage.wait_long_enough()


SCENARIOS: dict[tuple[str, str], Scenario] = {
    ("run.submitted", "SubmitRun"): runs_to_its_end,
    ("run.started", "ClaimStep"): runs_to_its_end,
    ("run.succeeded", "CompleteStep"): runs_to_its_end,
    ("run.failed", "FailStep"): ends_badly(Stage.fail),
    ("run.failed", "CompleteStep"): ends_after_a_failure(Stage.complete),
    ("run.failed", "LoseStep"): ends_badly(Stage.lose_twice),
    ("run.failed", "StopStep"): ends_badly(Stage.stop),
    ("run.failed", "FireTimers"): ends_badly(Stage.fall_silent),
    ("run.cancelling", "CancelRun"): is_cancelled_before_it_starts,
    ("run.cancelled", "CancelRun"): is_cancelled_before_it_starts,
    ("run.cancelled", "CompleteStep"): ends_after_a_cancel(Stage.complete),
    ("run.cancelled", "FailStep"): ends_after_a_cancel(Stage.fail),
    ("run.cancelled", "LoseStep"): ends_after_a_cancel(Stage.lose),
    ("run.cancelled", "StopStep"): ends_after_a_cancel(Stage.stop),
    ("run.cancelled", "FireTimers"): ends_after_a_cancel(Stage.fall_silent),
    ("run.submitted", "FireTimers"): is_started_by_a_schedule,
    ("run.cancelling", "FireTimers"): is_cancelled_for_the_next_occurrence,
    ("run.expired", "FireTimers"): expires,
    ("run.due_soon", "FireTimers"): is_due_soon,
    ("run.overdue", "FireTimers"): is_overdue,
    ("run.rescheduled", "UpdateDeadline"): is_rescheduled,
    ("run.rescheduled", "UpdateRun"): is_updated,
    ("run.updated", "UpdateRun"): is_updated,
    ("run.deleted", "DeleteRuns"): is_deleted,
    ("step.dispatched", "SubmitRun"): runs_to_its_end,
    ("step.dispatched", "CompleteStep"): runs_to_its_end,
    ("step.dispatched", "ProcessReadiness"): is_tried_again,
    ("step.dispatched", "FireTimers"): starts_when_its_time_has_come,
    ("step.released", "ReleaseSteps"): is_released_by_a_worker,
    ("step.started", "ClaimStep"): runs_to_its_end,
    ("step.completed", "CompleteStep"): runs_to_its_end,
    ("step.retrying", "FailStep"): is_tried_again,
    ("step.retrying", "FireTimers"): falls_silent_and_is_tried_again,
    ("step.lost", "LoseStep"): is_lost_and_runs_again,
    ("step.lost", "RescueSteps"): is_taken_from_a_silent_worker,
    ("step.failed", "FailStep"): ends_badly(Stage.fail),
    ("step.failed", "LoseStep"): ends_badly(Stage.lose_twice),
    ("step.failed", "StopStep"): ends_badly(Stage.stop),
    ("step.failed", "FireTimers"): ends_badly(Stage.fall_silent),
    ("step.skipped", "FailStep"): ends_badly(Stage.fail, "continue"),
    ("step.skipped", "LoseStep"): ends_badly(Stage.lose_twice, "continue"),
    ("step.skipped", "StopStep"): ends_badly(Stage.stop, "continue"),
    ("step.skipped", "FireTimers"): ends_badly(Stage.fall_silent, "continue"),
    ("step.cancelled", "CancelRun"): is_cancelled_before_it_starts,
    ("step.cancelled", "FailStep"): ends_badly(Stage.fail),
    ("step.cancelled", "LoseStep"): ends_badly(Stage.lose_twice),
    ("step.cancelled", "StopStep"): ends_after_a_cancel(Stage.stop),
    ("step.cancelled", "FireTimers"): expires,
    ("run.succeeded", "SuspendStep"): waits(for_signals_that_are_there),
    ("run.succeeded", "DeliverSignal"): waits(for_signals),
    ("run.succeeded", "FireTimers"): sleeps,
    ("run.failed", "SuspendStep"): waits(for_signals_that_are_there, beside_a_failure=True),
    ("run.failed", "DeliverSignal"): waits(for_signals, beside_a_failure=True),
    ("run.cancelled", "SuspendStep"): comes_to_wait_when_it_is_cancelled,
    ("step.suspended", "SuspendStep"): waits(for_signals),
    ("step.resumed", "DeliverSignal"): waits(for_signals),
    ("step.resumed", "FireTimers"): sleeps,
    ("step.completed", "SuspendStep"): waits(for_signals_that_are_there),
    ("step.completed", "DeliverSignal"): waits(for_signals),
    ("step.completed", "FireTimers"): sleeps,
    ("step.dispatched", "SuspendStep"): waits(for_signals_that_are_there),
    ("step.dispatched", "DeliverSignal"): waits(for_signals),
    ("step.cancelled", "SuspendStep"): comes_to_wait_when_it_is_cancelled,
    ("signal.received", "DeliverSignal"): waits(for_signals),
    ("run.stale", "TellStandstills"): stands_still,
    ("run.retried", "RetrySteps"): is_retried(),
    ("step.requeued", "RetrySteps"): is_retried(),
    ("step.restored", "RetrySteps"): is_retried(),
    ("step.discarded", "DiscardSteps"): is_discarded,
    ("run.paused", "PauseRun"): is_paused_and_resumed,
    ("step.released", "PauseRun"): is_paused_and_resumed,
    ("run.resumed", "ResumeRun"): is_paused_and_resumed,
    ("run.started", "ResolveStep"): is_resolved,
    ("run.succeeded", "ResolveStep"): is_resolved,
    ("step.resolved", "ResolveStep"): is_resolved,
    ("step.dispatched", "ResolveStep"): is_resolved,
    ("run.retried", "ResolveStep"): is_resolved_after_it_failed,
    ("step.requeued", "ResolveStep"): is_resolved_after_it_failed,
    ("step.restored", "ResolveStep"): is_resolved_after_it_failed,
    ("run.failed", "ResolveStep"): is_resolved_after_another_failed,
    ("run.submitted", "RerunRun"): is_repeated,
    ("run.repeated", "RerunRun"): is_repeated,
    ("run.started", "RerunRun"): is_repeated,
    ("step.reused", "RerunRun"): is_repeated,
    ("schedule.created", "CreateSchedule"): is_a_schedule_that_somebody_changes,
    ("schedule.updated", "UpdateSchedule"): is_a_schedule_that_somebody_changes,
    ("schedule.paused", "PauseSchedule"): is_a_schedule_that_somebody_changes,
    ("schedule.resumed", "ResumeSchedule"): is_a_schedule_that_somebody_changes,
    ("schedule.deleted", "DeleteSchedule"): is_a_schedule_that_somebody_changes,
    ("schedule.fired", "FireTimers"): is_started_by_a_schedule,
    ("schedule.skipped", "FireTimers"): is_started_by_a_schedule,
}
"""For each event and each command that fires it, something in which it does."""

MORE: list[Scenario] = [
    times_out,
    finds_the_broker_down,
    is_retried("fail_fast"),
    waits(for_a_signal_in_vain, timeout=60),
    waits(for_a_signal_in_vain, timeout=60, beside_a_failure=True),
    *(ends_after_a_failure(end) for end in (Stage.fail, Stage.lose, Stage.stop, Stage.fall_silent)),
]
"""What is not needed to fire anything, but might fire too much."""


def declared() -> Iterator[tuple[str, str]]:
    return ((name, by) for name, payload in CATALOGUE.items() for by in payload.fired_by.split(", "))


def test_there_is_a_scenario_for_every_declared_event_and_command() -> None:
    by_commands = {(name, by) for name, by in declared() if by in COMMANDS}

    assert set(SCENARIOS) == by_commands
    assert set(declared()) - by_commands == ABOUT_DELIVERY


def test_every_command_fires_something_and_is_named_in_the_catalogue() -> None:
    assert {by for _, by in SCENARIOS} == COMMANDS


@pytest.mark.parametrize("pair", SCENARIOS, ids="-".join)
def test_a_command_fires_each_event_that_says_so(pair: tuple[str, str], store: Store) -> None:
    stage = Stage(store)

    SCENARIOS[pair](stage)

    assert pair in stage.processor.pairs
    check(stage)


@pytest.mark.parametrize("number", range(len(MORE)))
def test_a_command_fires_no_other_event(number: int, store: Store) -> None:
    stage = Stage(store)

    MORE[number](stage)

    check(stage)


def test_what_the_broker_does_not_take_is_released_by_its_own_command(store: Store) -> None:
    stage = Stage(store)

    finds_the_broker_down(stage)

    assert stage.processor.pairs == {
        ("run.submitted", "SubmitRun"),
        ("step.dispatched", "SubmitRun"),
        ("step.released", "ReleaseSteps"),
    }


def test_a_submit_in_somebody_elses_transaction_is_told_once_and_at_its_commit(store: Store) -> None:
    stage = Stage(store)
    plan_id = stage.processor.register(compile_plan(graph(CHAIN)))
    run_id = new_run_id()
    command = SubmitRun(run_id=run_id, plan_id=plan_id, input="null", input_digest="-", options=RunOptions())

    with store.transaction() as tx:
        stage.processor.execute_within(command, tx)
        assert event_names(store, run_id) == {}
    assert event_names(store, run_id) == {("run.submitted", None): 1}

    stage.processor.execute(ProcessReadiness(limit=10))
    run_all(stage.processor, stage.broker)
    assert event_names(store, run_id)["run.submitted", None] == 1
    check(stage)


def test_the_relay_and_whoever_asks_it_fire_each_event_about_delivery(store: Store) -> None:
    desk, wanted = DeliveryDesk(store, namespace="default"), DeadLetterFilter(subscriber="broken")
    append(store)

    def deliver() -> None:
        with running(store.database.url, Broken("broken", reaction=refuse)):
            wait_until(desk.dead_letters)

    def requeue() -> None:
        desk.requeue(RequeueDeliveries(wanted=wanted, actor="ada"))

    def discard() -> None:
        desk.discard(DiscardDeliveries(wanted=wanted, actor="ada"))

    def replay() -> None:
        desk.replay(ReplaySubscriber(subscriber="broken", actor="ada", after_position=0))

    def forget() -> None:
        desk.forget(ForgetSubscriber(subscriber="broken", actor="ada"))

    assert fired_by(deliver, store) == ["subscriber.dead_lettered"]
    assert fired_by(requeue, store) == ["subscriber.requeued"]
    assert fired_by(deliver, store) == ["subscriber.dead_lettered"]
    assert fired_by(discard, store) == ["subscriber.discarded"]
    assert fired_by(replay, store) == ["subscriber.replayed"]
    assert fired_by(deliver, store) == ["subscriber.dead_lettered"]
    assert fired_by(forget, store) == ["subscriber.discarded"]


class Broken(Recorder):
    """Takes nothing, and is asked once."""

    name = "broken"
    tries = 1


def refuse(event: EventRecord) -> None:
    raise ConnectionError(f"no answer about {event.name}")


def fired_by(act: Callable[[], None], store: Store) -> list[str]:
    """Return the names of the events that came into the log during an act."""
    with store.single() as tx:
        before = tx.event_log.head()
    act()
    with store.single() as tx:
        events = tx.event_log.read(before, 1_000)
    return [event.payload.event for event in events]


@pytest.mark.parametrize("end", [Stage.complete, Stage.fail, Stage.lose, Stage.stop], ids=lambda end: end.__name__)
def test_a_message_that_comes_twice_fires_nothing_the_second_time(end: End, store: Store) -> None:
    stage = Stage(store)
    stage.submit(graph(CHAIN))
    (message,) = stage.claimed("a")
    end(stage, message)
    told = len(stage.processor.events)

    assert claim(stage.processor, message) is None
    end(stage, message)

    assert len(stage.processor.events) == told


@pytest.mark.parametrize("seed", range(8))
def test_whatever_commands_come_in_whatever_order_only_declared_events_are_fired(seed: int, store: Store) -> None:
    stage, random = Stage(store), Random(seed)

    for _ in range(40):
        act_at_random(stage, random)

    assert len(stage.processor.pairs) > 3
    check(stage)


OPTIONS: list[dict[str, Any]] = [
    {},
    {},
    {"expires_at": LONG_AGO},
    {"timeout": 0.01, "due_at": LONG_AGO},
]


def act_at_random(stage: Stage, random: Random) -> None:
    """Do something that may happen at any time, to a new run or to one of the messages on their way."""
    messages = list(stage.broker.sent)
    if not messages or random.random() < 0.2:
        edges = random.choice([PAIR, CHAIN, {"a": (), "b": (), "c": ("a", "b"), "d": ("a",)}])
        workflow = graph(edges, on_failure=random.choice(["fail_fast", "continue"]))
        stage.submit(workflow, **random.choice(OPTIONS))
        return
    message = random.choice(messages)
    claim(stage.processor, message)
    choices: list[Callable[[], object]] = [
        *(lambda: stage.complete(message) for _ in range(3)),
        lambda: stage.fail(message, retry_in=random.choice([NOW, None])),
        lambda: stage.lose(message),
        lambda: stage.stop(message),
        lambda: stage.release(message),
        lambda: stage.cancel(message.run_id),
        lambda: stage.retry(message.run_id),
        lambda: stage.processor.execute(ProcessReadiness(limit=3)),
        lambda: stage.processor.execute(FireTimers(limit=3)),
    ]
    with suppress(NotDead):
        random.choice(choices)()


def check(stage: Stage) -> None:
    """Prove that what was fired is declared, valid, explained by what came with it, and not told twice."""
    processor = stage.processor
    assert processor.pairs <= set(declared())
    for _, events in processor.fired:
        known = {event.event_id for event in events}
        for event in events:
            assert event.payload.event == event.name
            assert event.version == CATALOGUE[event.name].schema_version
            assert (event.step is not None) == event.name.startswith("step.")
            assert event.causation_id is None or event.causation_id in known - {event.event_id}
    ids = Counter(event.event_id for event in processor.events)
    told = Counter(
        (event.run_id, event.step, event.attempt, event.name, times_retried(processor, event))
        for event in processor.events
        if event.name not in AGAIN_AND_AGAIN
    )
    assert [each for each, number in (ids + told).items() if number > 1] == []


def times_retried(processor: WatchedProcessor, event: EventRecord) -> int:
    """Return how often steps of the run had been retried by then: what had ended may end again."""
    retries = [events[0] for command, events in processor.fired if command == "RetrySteps" and events]
    return sum(first.run_id == event.run_id and (first.position or 0) <= (event.position or 0) for first in retries)


def test_every_command_class_is_one_of_the_union() -> None:
    """Else the catalogue might name a command that the processor does not take."""
    public = {
        each.__name__
        for each in vars(commands).values()
        if isinstance(each, type) and each.__module__ == commands.__name__
    }

    assert public - COMMANDS == {
        "StepAttempt",
        "StepError",
        "RunInput",
        "RunCommand",
        "ScheduleCommand",
        "FollowStep",
        "Onward",
    }

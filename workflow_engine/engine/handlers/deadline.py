"""Tell that runs are due, move deadlines, and end runs that took too long."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from workflow_engine.engine import publisher
from workflow_engine.engine.dispatcher import Dispatch
from workflow_engine.engine.handlers.run import end_unstarted, settle_run
from workflow_engine.engine.handlers.scope import Scope
from workflow_engine.engine.outcome import Outcome
from workflow_engine.errors import InvalidInput, RunEnded, RunNotFound
from workflow_engine.ids import RunId
from workflow_engine.model.commands import StepError, UpdateDeadline
from workflow_engine.model.deadlines import UNCHANGED
from workflow_engine.model.run import FINAL_RUN_STATES, RunState
from workflow_engine.model.timers import Timer
from workflow_engine.store.deadlines import Deadline, DueRun
from workflow_engine.store.event_log import Fact
from workflow_engine.store.hot_steps import Settle


def update_deadline(command: UpdateDeadline, scope: Scope) -> Outcome:
    """Say anew when a run is due; the value is whether that changed anything.

    Raises:
        RunNotFound: there is no such run.
        RunEnded: it has ended.
        InvalidInput: it would have reminders and no ``due_at``.
    """
    held = scope.tx.deadlines.lock(command.run_id)
    if held is None:
        raise RunNotFound(command.run_id)
    if held.state in FINAL_RUN_STATES:
        raise RunEnded(command.run_id, held.state)
    due_at, remind_before = _wanted(command, held)
    if (due_at, remind_before) == (held.due_at, held.remind_before):
        return Outcome(value=False)
    scope.tx.deadlines.move(command.run_id, due_at, remind_before)
    plan = scope.plan(held.plan_id)
    scope.publish(
        command.run_id,
        publisher.run_rescheduled(
            plan, due_at=due_at, remind_before=remind_before, previous_due_at=held.due_at, actor=command.actor
        ),
    )
    return Outcome(value=True)


def _wanted(command: UpdateDeadline, held: Deadline) -> tuple[datetime | None, tuple[timedelta, ...]]:
    """Return what a run is to have; without a deadline it has no reminders either."""
    due_at = held.due_at if command.due_at is UNCHANGED else command.due_at
    if due_at is None:
        if command.remind_before is not UNCHANGED and command.remind_before:
            raise InvalidInput("remind_before", "needs a due_at, and the run has none")
        return None, ()
    return due_at, held.remind_before if command.remind_before is UNCHANGED else command.remind_before


def remind(timers: Sequence[Timer], scope: Scope) -> tuple[Dispatch, ...]:
    """Tell that runs are due soon."""
    moments = [(timer.run_id, float((timer.data or {})["before"])) for timer in timers if timer.run_id is not None]
    due = scope.tx.deadlines.find_due(moments)
    while due:  # several of one run, missed while nobody fired: each has an id, and so a moment, of its own
        first = {run.run_id: run for run in reversed(due)}
        scope.tx.event_log.begin_moment()
        scope.append([_due_soon(run, scope) for run in due if first[run.run_id] is run])
        due = [run for run in due if first[run.run_id] is not run]
    return ()


def tell_overdue(timers: Sequence[Timer], scope: Scope) -> tuple[Dispatch, ...]:
    """Tell that runs have not ended by the time they were due."""
    due = scope.tx.deadlines.find_due([(run_id, 0.0) for run_id in _runs(timers)])
    scope.append(
        [Fact(run_id=run.run_id, event=publisher.run_overdue(scope.plan(run.plan_id), run.due_at)) for run in due]
    )
    return ()


def _due_soon(run: DueRun, scope: Scope) -> Fact:
    return Fact(run_id=run.run_id, event=publisher.run_due_soon(scope.plan(run.plan_id), run.due_at, run.before))


def time_out_runs(timers: Sequence[Timer], scope: Scope) -> tuple[Dispatch, ...]:
    """Fail runs that did not end in time; those of which steps run fail when these have ended."""
    for timed_out in scope.tx.deadlines.find_timed_out(_runs(timers)):
        run_id = timed_out.run_id
        held = scope.tx.steps.lock_unfinished(run_id)
        run = scope.tx.runs.lock(run_id)
        if run is None or run.state in FINAL_RUN_STATES or run.state is RunState.CANCELLING:
            continue  # it ended, or somebody cancelled it, while we waited for its rows
        message = f"the run did not end within its timeout of {timed_out.timeout.total_seconds():g} s"
        scope.tx.runs.fail_later(run_id, None, StepError(error_class="RunTimedOut", message=message))
        end_unstarted(run_id, held, scope.plan(run.plan_id), "the run timed out", scope, Settle.STOPPING)
        settle_run(run_id, scope)
    return ()


def _runs(timers: Sequence[Timer]) -> list[RunId]:
    return list(dict.fromkeys(timer.run_id for timer in timers if timer.run_id is not None))

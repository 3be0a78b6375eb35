"""Make, change and fire schedules."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

from workflow_engine.engine import publisher
from workflow_engine.engine.dispatcher import Dispatch
from workflow_engine.engine.handlers.run import cancel_run, submit_run
from workflow_engine.engine.handlers.scope import Scope
from workflow_engine.engine.outcome import Outcome
from workflow_engine.errors import InvalidInput, ScheduleNotFound, WorkflowNotFound
from workflow_engine.ids import RunId, new_run_id
from workflow_engine.model.commands import (
    CancelRun,
    CreateSchedule,
    DeleteSchedule,
    PauseSchedule,
    ResumeSchedule,
    ScheduleCommand,
    SubmitRun,
    UpdateSchedule,
)
from workflow_engine.model.run import RunState
from workflow_engine.model.schedule import (
    LATE,
    CatchUp,
    Due,
    Overlap,
    ScheduleRecord,
    Terms,
    due_occurrences,
    options_of_every_run,
    options_of_occurrence,
    without_overlap,
)
from workflow_engine.model.timers import Timer
from workflow_engine.store.event_log import Fact
from workflow_engine.store.schedules import DueSchedule

BATCH: Final = 100
"""Runs that one transaction starts, and running ones that it cancels for them."""
KEEP: Final = timedelta(days=90)
"""How long it is kept what became of an occurrence."""
_RULE: Final = frozenset({"cron", "rrule"})
_TIMES: Final = _RULE | {"time_zone", "start", "end"}
"""What decides when a schedule fires next."""


def create_schedule(command: CreateSchedule, scope: Scope) -> Outcome:
    """Store a schedule; its trigger sets the timer of its first occurrence. The value is its record."""
    now = scope.tx.now().replace(microsecond=0)
    timing = command.timing
    begins = timing.start or now
    since = max(begins, now - LATE) if timing.catch_up is CatchUp.NONE else begins
    terms = Terms(
        version=command.version,
        options=command.options,
        timing=timing,
        anchor_at=begins,
        next_at=timing.first(begins, since),
    )
    _check_version(command, command.workflow, command.version, scope)
    made = scope.tx.schedules.insert(command.namespace, command.name, command.workflow, terms, command.input)
    if made is None:
        raise InvalidInput("name", f"a schedule {command.name!r} is there already in namespace {command.namespace!r}")
    scope.publish_notices(command.namespace, publisher.schedule_created(made, command.actor))
    return Outcome(value=made)


def update_schedule(command: UpdateSchedule, scope: Scope) -> Outcome:
    """Change a schedule; with another rule it goes on with the first occurrence from now. The value is its record."""
    found = _held(command, scope)
    timing = found.timing.changed(command.timing)
    terms = replace(
        found.terms,
        timing=timing,
        options=options_of_every_run(**{**found.options, **command.options}),
        version=command.version.get("version", found.version),
    )
    _check_version(command, found.workflow, terms.version, scope)
    if not _TIMES.isdisjoint(command.timing):
        now = scope.tx.now()
        begins = found.anchor_at if _RULE.isdisjoint(command.timing) else now.replace(microsecond=0)
        terms = _timed_anew(terms, timing.start or begins, now)
    saved = scope.tx.schedules.save(found.id, terms, command.input)
    changed = sorted({*command.timing, *command.options, *command.version, *(["input"] if command.input else [])})
    scope.publish_notices(command.namespace, publisher.schedule_updated(saved, changed, command.actor))
    return Outcome(value=saved)


def pause_schedule(command: PauseSchedule, scope: Scope) -> Outcome:
    """Let a schedule rest; the value is its record. One that is paused already stays as it is."""
    found = _held(command, scope)
    if found.paused_at is not None:
        return Outcome(value=found)
    paused_at = scope.tx.now()
    saved = scope.tx.schedules.save(found.id, replace(found.terms, paused_at=paused_at, next_at=None))
    scope.publish_notices(command.namespace, publisher.schedule_paused(command.name, command.actor))
    return Outcome(value=saved)


def resume_schedule(command: ResumeSchedule, scope: Scope) -> Outcome:
    """Let a paused schedule go on with its first occurrence from now; the value is its record."""
    found = _held(command, scope)
    if found.paused_at is None:
        return Outcome(value=found)
    next_at = found.recurrence.after(scope.tx.now())
    saved = scope.tx.schedules.save(found.id, replace(found.terms, paused_at=None, next_at=next_at))
    scope.publish_notices(command.namespace, publisher.schedule_resumed(saved, command.actor))
    return Outcome(value=saved)


def delete_schedule(command: DeleteSchedule, scope: Scope) -> Outcome:
    """Delete a schedule; its runs go on."""
    if not scope.tx.schedules.delete(command.namespace, command.name):
        raise _not_found(command)
    scope.publish_notices(command.namespace, publisher.schedule_deleted(command.name, command.actor))
    return Outcome()


def fire_schedules(timers: Sequence[Timer], scope: Scope) -> tuple[Dispatch, ...]:
    """Start the runs of occurrences that are due, a hundred at most; what is left is due at once, in a transaction of
    its own.

    Schedules are held, so that whoever changes one waits, and fires nothing twice: an occurrence is recorded in the
    transaction that starts its run and moves its schedule on.
    """
    ids = {timer.schedule_id for timer in timers if timer.schedule_id is not None}
    dispatches: list[Dispatch] = []
    left = BATCH
    for held in scope.tx.schedules.lock_due(sorted(ids)):
        due = due_occurrences(held.record, held.now, left)
        left -= len(due.fire)
        dispatches += _fire(held, due, scope)
    return tuple(dispatches)


def _fire(held: DueSchedule, due: Due, scope: Scope) -> list[Dispatch]:
    schedule, last = held.record, _last_of(due)
    due = _after_overlap(schedule, due, scope)
    runs = {occurs_at: new_run_id() for occurs_at in due.fire}
    new = scope.tx.schedules.record_fired(schedule.id, runs)
    dispatches = _start(held, {occurs_at: runs[occurs_at] for occurs_at in sorted(new)}, scope)
    _skip(schedule, due, scope)
    scope.tx.schedules.advance(schedule.id, next_at=due.next_at, last_at=last)
    if last is not None:
        scope.tx.schedules.prune(schedule.id, KEEP)
    return dispatches


def _start(held: DueSchedule, runs: Mapping[datetime, RunId], scope: Scope) -> list[Dispatch]:
    """Submit the runs of occurrences."""
    if not runs:
        return []
    schedule, plan_id = held.record, _plan_id_of(held.record, scope)
    dispatches: list[Dispatch] = []
    facts: list[Fact] = []
    for occurs_at, run_id in runs.items():
        command = SubmitRun(
            run_id=run_id,
            plan_id=plan_id,
            input=held.input,
            input_digest=held.input_digest,
            options=options_of_occurrence(schedule, occurs_at),
            schedule_id=schedule.id,
        )
        dispatches += submit_run(command, scope).dispatches
        event = publisher.schedule_fired(schedule.name, occurs_at, held.now - occurs_at)
        facts.append(Fact(run_id=run_id, event=event))
    scope.append(facts)
    return dispatches


def _after_overlap(schedule: ScheduleRecord, due: Due, scope: Scope) -> Due:
    """Cancel runs that go on, or leave out what would run beside them, as the schedule says."""
    if schedule.overlap is Overlap.ALLOW or not due.fire:
        return due
    unfinished = scope.tx.schedules.unfinished_runs(schedule.id, BATCH)
    if schedule.overlap is Overlap.CANCEL_RUNNING:
        reason = "the next occurrence of its schedule came"
        for each in unfinished:
            if each.state is not RunState.CANCELLING:
                cancel_run(CancelRun(run_id=each.run_id, reason=reason, actor=f"schedule {schedule.name}"), scope)
    return without_overlap(due, schedule.overlap, running=bool(unfinished))


def _skip(schedule: ScheduleRecord, due: Due, scope: Scope) -> None:
    new = scope.tx.schedules.record_skipped(schedule.id, due.skipped)
    events = [publisher.schedule_skipped(schedule.name, each) for each in due.skipped if each.first in new]
    scope.publish_notices(schedule.namespace, *events)


def _plan_id_of(schedule: ScheduleRecord, scope: Scope) -> int:
    """Return the plan of the version that is pinned, or else of the one registered last."""
    plan = scope.tx.plans.find(schedule.workflow, namespace=schedule.namespace, version=schedule.version)
    if plan is None:  # plans are never deleted by us
        raise WorkflowNotFound(f"workflow {schedule.workflow!r} of schedule {schedule.name!r} is gone")
    scope.plans.keep(plan)
    return plan.id


def _last_of(due: Due) -> datetime | None:
    return max([*due.fire, *(each.last for each in due.skipped)], default=None)


def _timed_anew(terms: Terms, anchor: datetime, now: datetime) -> Terms:
    next_at = terms.timing.first(anchor, now)
    return replace(terms, anchor_at=anchor, next_at=None if terms.paused_at is not None else next_at)


def _check_version(command: ScheduleCommand, workflow: str, version: str | None, scope: Scope) -> None:
    if scope.tx.plans.find(workflow, namespace=command.namespace, version=version) is None:
        wanted = f"workflow {workflow!r}" + (f" version {version!r}" if version else "")
        raise WorkflowNotFound(f"{wanted} is not known in namespace {command.namespace!r}")


def _held(command: ScheduleCommand, scope: Scope) -> ScheduleRecord:
    found = scope.tx.schedules.lock(command.namespace, command.name)
    if found is None:
        raise _not_found(command)
    return found


def _not_found(command: ScheduleCommand) -> ScheduleNotFound:
    return ScheduleNotFound(f"no schedule {command.name!r} is in namespace {command.namespace!r}")

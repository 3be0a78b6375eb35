"""One typed function for each event of the catalogue; what is not here cannot be published.

Each returns the event with its payload checked and written as JSON; the caller's statement or transaction appends it
to the event log together with the change it tells of. Payloads that many steps share are made once.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from functools import lru_cache

from workflow_engine.engine.payloads import payload_as_json
from workflow_engine.model import (
    deadline_events,
    retry_events,
    run_events,
    schedule_events,
    signal_events,
    step_events,
    subscriber_events,
)
from workflow_engine.model.commands import StepError
from workflow_engine.model.deadlines import as_seconds
from workflow_engine.model.events import MESSAGE_LIMIT, Event, Payload
from workflow_engine.model.records import AttemptTimes, RunTimes
from workflow_engine.model.schedule import ScheduleRecord, Skipped
from workflow_engine.model.step import StepState
from workflow_engine.plan.plan import Plan


def run_submitted(plan: Plan, initiator: str | None) -> Event:
    """A run was stored."""
    return _event(
        run_events.RunSubmitted(workflow=plan.workflow, version=plan.version, steps=len(plan), initiator=initiator)
    )


@lru_cache(maxsize=1_000)
def run_started(workflow: str, version: str) -> Event:
    """The first step of a run was claimed."""
    return _event(run_events.RunStarted(workflow=workflow, version=version))


def run_succeeded(plan: Plan, times: RunTimes) -> Event:
    """Every step of a run succeeded."""
    return _event(
        run_events.RunSucceeded(
            workflow=plan.workflow,
            version=plan.version,
            submitted_at=times.submitted_at,
            started_at=times.started_at,
            retried_at=times.retried_at,
        )
    )


def run_failed(plan: Plan, times: RunTimes, step: str | None, error: StepError) -> Event:
    """A run failed because of a step, or by itself."""
    return _event(
        run_events.RunFailed(
            workflow=plan.workflow,
            version=plan.version,
            step=step,
            error_class=error.error_class,
            message=_bounded(error.message),
            submitted_at=times.submitted_at,
            started_at=times.started_at,
            retried_at=times.retried_at,
        )
    )


def run_cancelling(reason: str | None, actor: str | None, running_steps: int) -> Event:
    """Somebody asked to cancel a run."""
    return _event(run_events.RunCancelling(reason=_bounded_if_any(reason), actor=actor, running_steps=running_steps))


def run_cancelled(plan: Plan, times: RunTimes) -> Event:
    """A cancelled run came to rest."""
    return _event(
        run_events.RunCancelled(
            workflow=plan.workflow,
            version=plan.version,
            submitted_at=times.submitted_at,
            started_at=times.started_at,
            retried_at=times.retried_at,
        )
    )


def run_expired(plan: Plan, times: RunTimes) -> Event:
    """A run did not start in time."""
    return _event(
        run_events.RunExpired(
            workflow=plan.workflow,
            version=plan.version,
            submitted_at=times.submitted_at,
            started_at=times.started_at,
        )
    )


def run_stale(since: datetime, limit_seconds: float, because: str, held_by: str | None) -> Event:
    """A run stands still."""
    return _event(run_events.RunStale(since=since, limit_seconds=limit_seconds, because=because, held_by=held_by))


def run_retried(plan: Plan, *, steps: int, reason: str | None, actor: str | None) -> Event:
    """A failed run goes on."""
    return _event(
        retry_events.RunRetried(
            workflow=plan.workflow, version=plan.version, steps=steps, reason=_bounded_if_any(reason), actor=actor
        )
    )


def run_due_soon(plan: Plan, due_at: datetime, before: float) -> Event:
    """A run is due in ``before`` seconds, or less."""
    return _event(
        deadline_events.RunDueSoon(workflow=plan.workflow, version=plan.version, due_at=due_at, before_seconds=before)
    )


def run_overdue(plan: Plan, due_at: datetime) -> Event:
    """A run has not ended by the time it was due."""
    return _event(deadline_events.RunOverdue(workflow=plan.workflow, version=plan.version, due_at=due_at))


def run_rescheduled(
    plan: Plan,
    *,
    due_at: datetime | None,
    remind_before: Sequence[timedelta],
    previous_due_at: datetime | None,
    actor: str | None,
) -> Event:
    """A run is due at another time, or reminds at others."""
    return _event(
        deadline_events.RunRescheduled(
            workflow=plan.workflow,
            version=plan.version,
            due_at=due_at,
            remind_before_seconds=as_seconds(remind_before),
            previous_due_at=previous_due_at,
            actor=actor,
        )
    )


def step_dispatched(
    step: str, attempt: int, queue: str | None, triggered_by: str, ready_at: datetime | None = None
) -> Event:
    """A step was handed to Celery."""
    return Event(
        name=step_events.StepDispatched.event,
        step=step,
        attempt=attempt,
        data=_dispatched_payload(queue, triggered_by)
        if ready_at is None
        else payload_as_json(step_events.StepDispatched(queue=queue, triggered_by=triggered_by, ready_at=ready_at)),
    )


def step_released(step: str, reason: str) -> Event:
    """A step could not be taken."""
    return _event(step_events.StepReleased(reason=_bounded(reason)), step)


def step_started(step: str, attempt: int, worker: str) -> Event:
    """A worker claimed an attempt."""
    return Event(name=step_events.StepStarted.event, step=step, attempt=attempt, data=_started_payload(worker))


def step_suspended(step: str, attempt: int, until: datetime | None, signal: str | None) -> Event:
    """A step waits."""
    return _event(step_events.StepSuspended(until=until, signal=signal), step, attempt)


def step_resumed(step: str, attempt: int, because: str) -> Event:
    """A step waits no more."""
    return _event(step_events.StepResumed(because=because), step, attempt)


def signal_received(signal: str, actor: str | None) -> Event:
    """A signal was stored."""
    return _event(signal_events.SignalReceived(signal=signal, actor=actor))


def step_completed(step: str, attempt: int, times: AttemptTimes, seconds: float) -> Event:
    """A step succeeded."""
    return _event(
        step_events.StepCompleted(
            seconds=round(seconds, 6), dispatched_at=times.dispatched_at, started_at=times.started_at
        ),
        step,
        attempt,
    )


def step_retrying(step: str, attempt: int, times: AttemptTimes, error: StepError, delay_seconds: float) -> Event:
    """An attempt failed and another is due."""
    return _event(
        step_events.StepRetrying(
            error_class=error.error_class,
            message=_bounded(error.message),
            delay_seconds=delay_seconds,
            dispatched_at=times.dispatched_at,
            started_at=times.started_at,
        ),
        step,
        attempt,
    )


def step_lost(step: str, attempt: int, times: AttemptTimes, reason: str) -> Event:
    """The process that ran an attempt went away."""
    return _event(
        step_events.StepLost(reason=_bounded(reason), dispatched_at=times.dispatched_at, started_at=times.started_at),
        step,
        attempt,
    )


def step_failed(step: str, attempt: int, times: AttemptTimes, error: StepError) -> Event:
    """A step's last attempt failed."""
    return _event(
        step_events.StepFailed(
            error_class=error.error_class,
            message=_bounded(error.message),
            dispatched_at=times.dispatched_at,
            started_at=times.started_at,
        ),
        step,
        attempt,
    )


def step_skipped(step: str, because: str) -> Event:
    """A step will never run."""
    return _event(step_events.StepSkipped(because=because), step)


def step_cancelled(step: str, because: str, attempt: int | None = None, times: AttemptTimes | None = None) -> Event:
    """A step was cancelled; with its attempt and times, if it ran."""
    return _event(
        step_events.StepCancelled(
            because=because,
            dispatched_at=None if times is None else times.dispatched_at,
            started_at=None if times is None else times.started_at,
        ),
        step,
        attempt,
    )


def step_requeued(step: str, attempt: int | None, *, was: StepState, reason: str | None, actor: str | None) -> Event:
    """A step that had failed or been cancelled is ready again; ``attempt`` is the last one it had, if it had any."""
    return _event(retry_events.StepRequeued(was=was.value, reason=_bounded_if_any(reason), actor=actor), step, attempt)


def step_restored(step: str, *, was: StepState, missing: int) -> Event:
    """A step that had been skipped or cancelled waits again."""
    return _event(retry_events.StepRestored(was=was.value, missing=missing), step)


def step_discarded(step: str, attempt: int, *, reason: str | None, actor: str | None) -> Event:
    """A failed step was given up for good."""
    return _event(retry_events.StepDiscarded(reason=_bounded_if_any(reason), actor=actor), step, attempt)


def subscriber_dead_lettered(
    subscriber: str, event_id: str, event_name: str, *, tries: int, error_class: str, message: str
) -> Event:
    """A delivery was given up."""
    return _event(
        subscriber_events.SubscriberDeadLettered(
            subscriber=subscriber,
            event_id=event_id,
            event_name=event_name,
            tries=tries,
            error_class=error_class,
            message=_bounded(message),
        )
    )


def subscriber_requeued(subscriber: str, deliveries: int, actor: str | None) -> Event:
    """Dead letters are to be delivered again."""
    return _event(subscriber_events.SubscriberRequeued(subscriber=subscriber, deliveries=deliveries, actor=actor))


def subscriber_discarded(subscriber: str, deliveries: int, actor: str | None) -> Event:
    """Dead letters were given up for good."""
    return _event(subscriber_events.SubscriberDiscarded(subscriber=subscriber, deliveries=deliveries, actor=actor))


def subscriber_replayed(subscriber: str, from_position: int, actor: str | None) -> Event:
    """A cursor was set."""
    return _event(subscriber_events.SubscriberReplayed(subscriber=subscriber, from_position=from_position, actor=actor))


def schedule_created(schedule: ScheduleRecord, actor: str | None) -> Event:
    """A schedule was made."""
    return _event(
        schedule_events.ScheduleCreated(
            schedule=schedule.name,
            workflow=schedule.workflow,
            rule=schedule.cron or schedule.rrule or "",
            time_zone=schedule.time_zone,
            next_at=schedule.next_at,
            actor=actor,
        )
    )


def schedule_updated(schedule: ScheduleRecord, changed: Sequence[str], actor: str | None) -> Event:
    """A schedule was changed."""
    return _event(
        schedule_events.ScheduleUpdated(
            schedule=schedule.name, changed=list(changed), next_at=schedule.next_at, actor=actor
        )
    )


def schedule_paused(schedule: str, actor: str | None) -> Event:
    """A schedule was paused."""
    return _event(schedule_events.SchedulePaused(schedule=schedule, actor=actor))


def schedule_resumed(schedule: ScheduleRecord, actor: str | None) -> Event:
    """A paused schedule goes on."""
    return _event(schedule_events.ScheduleResumed(schedule=schedule.name, next_at=schedule.next_at, actor=actor))


def schedule_deleted(schedule: str, actor: str | None) -> Event:
    """A schedule was deleted."""
    return _event(schedule_events.ScheduleDeleted(schedule=schedule, actor=actor))


def schedule_fired(schedule: str, occurs_at: datetime, late: timedelta) -> Event:
    """An occurrence started a run."""
    late_seconds = round(late.total_seconds(), 6)
    return _event(schedule_events.ScheduleFired(schedule=schedule, occurs_at=occurs_at, late_seconds=late_seconds))


def schedule_skipped(schedule: str, skipped: Skipped) -> Event:
    """Occurrences started none."""
    return _event(
        schedule_events.ScheduleSkipped(
            schedule=schedule, occurs_at=skipped.first, until=skipped.last, because=skipped.reason.value
        )
    )


@lru_cache(maxsize=10_000)
def _dispatched_payload(queue: str | None, triggered_by: str) -> str:
    return payload_as_json(step_events.StepDispatched(queue=queue, triggered_by=triggered_by))


@lru_cache(maxsize=100)
def _started_payload(worker: str) -> str:
    return payload_as_json(step_events.StepStarted(worker=worker))


def _event(payload: Payload, step: str | None = None, attempt: int | None = None) -> Event:
    return Event(name=payload.event, step=step, attempt=attempt, data=payload_as_json(payload))


def _bounded_if_any(reason: str | None) -> str | None:
    return None if reason is None else _bounded(reason)


def _bounded(message: str) -> str:
    return message if len(message) <= MESSAGE_LIMIT else message[: MESSAGE_LIMIT - 1] + "…"

"""Events about runs."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from functools import lru_cache

from workflow_engine.engine.publisher.making import bounded, bounded_if_any, event_of
from workflow_engine.ids import RunId
from workflow_engine.model import deadline_events, lifecycle_events, retry_events, run_events
from workflow_engine.model.commands import StepError
from workflow_engine.model.deadlines import as_seconds
from workflow_engine.model.events import Event
from workflow_engine.model.records import RunTimes
from workflow_engine.model.run import RunState
from workflow_engine.plan.plan import Plan


def run_submitted(plan: Plan, initiator: str | None) -> Event:
    """A run was stored."""
    return event_of(
        run_events.RunSubmitted(workflow=plan.workflow, version=plan.version, steps=len(plan), initiator=initiator)
    )


@lru_cache(maxsize=1_000)
def run_started(workflow: str, version: str) -> Event:
    """The first step of a run was claimed."""
    return event_of(run_events.RunStarted(workflow=workflow, version=version))


def run_succeeded(plan: Plan, times: RunTimes) -> Event:
    """Every step of a run succeeded."""
    return event_of(
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
    return event_of(
        run_events.RunFailed(
            workflow=plan.workflow,
            version=plan.version,
            step=step,
            error_class=error.error_class,
            message=bounded(error.message),
            submitted_at=times.submitted_at,
            started_at=times.started_at,
            retried_at=times.retried_at,
        )
    )


def run_cancelling(reason: str | None, actor: str | None, running_steps: int) -> Event:
    """Somebody asked to cancel a run."""
    return event_of(run_events.RunCancelling(reason=bounded_if_any(reason), actor=actor, running_steps=running_steps))


def run_cancelled(plan: Plan, times: RunTimes) -> Event:
    """A cancelled run came to rest."""
    return event_of(
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
    return event_of(
        run_events.RunExpired(
            workflow=plan.workflow,
            version=plan.version,
            submitted_at=times.submitted_at,
            started_at=times.started_at,
        )
    )


def run_stale(since: datetime, limit_seconds: float, because: str, held_by: str | None) -> Event:
    """A run stands still."""
    return event_of(run_events.RunStale(since=since, limit_seconds=limit_seconds, because=because, held_by=held_by))


def run_retried(plan: Plan, *, steps: int, reason: str | None, actor: str | None) -> Event:
    """A failed run goes on."""
    return event_of(
        retry_events.RunRetried(
            workflow=plan.workflow, version=plan.version, steps=steps, reason=bounded_if_any(reason), actor=actor
        )
    )


def run_due_soon(plan: Plan, due_at: datetime, before: float) -> Event:
    """A run is due in ``before`` seconds, or less."""
    return event_of(
        deadline_events.RunDueSoon(workflow=plan.workflow, version=plan.version, due_at=due_at, before_seconds=before)
    )


def run_overdue(plan: Plan, due_at: datetime) -> Event:
    """A run has not ended by the time it was due."""
    return event_of(deadline_events.RunOverdue(workflow=plan.workflow, version=plan.version, due_at=due_at))


def run_rescheduled(
    plan: Plan,
    *,
    due_at: datetime | None,
    remind_before: Sequence[timedelta],
    previous_due_at: datetime | None,
    actor: str | None,
) -> Event:
    """A run is due at another time, or reminds at others."""
    return event_of(
        deadline_events.RunRescheduled(
            workflow=plan.workflow,
            version=plan.version,
            due_at=due_at,
            remind_before_seconds=as_seconds(remind_before),
            previous_due_at=previous_due_at,
            actor=actor,
        )
    )


def run_paused(reason: str | None, actor: str | None, running_steps: int) -> Event:
    """Somebody paused a run."""
    return event_of(lifecycle_events.RunPaused(reason=bounded_if_any(reason), actor=actor, running_steps=running_steps))


def run_resumed(state: RunState, reason: str | None, actor: str | None) -> Event:
    """Somebody resumed a run."""
    return event_of(lifecycle_events.RunResumed(state=state.value, reason=bounded_if_any(reason), actor=actor))


def run_repeated(
    plan: Plan, *, rerun_of: RunId, step: str, reused: int, reason: str | None, actor: str | None
) -> Event:
    """A run does part of an earlier one again."""
    return event_of(
        lifecycle_events.RunRepeated(
            workflow=plan.workflow,
            version=plan.version,
            rerun_of=rerun_of,
            step=step,
            reused=reused,
            reason=bounded_if_any(reason),
            actor=actor,
        )
    )


def run_updated(plan: Plan, changed: Sequence[str], actor: str | None) -> Event:
    """Something else is said about a run."""
    return event_of(
        lifecycle_events.RunUpdated(workflow=plan.workflow, version=plan.version, changed=sorted(changed), actor=actor)
    )


def run_deleted(plan: Plan, state: RunState, reason: str | None, actor: str | None) -> Event:
    """A run that had ended is forgotten."""
    return event_of(
        lifecycle_events.RunDeleted(
            workflow=plan.workflow, version=plan.version, state=state, reason=bounded_if_any(reason), actor=actor
        )
    )

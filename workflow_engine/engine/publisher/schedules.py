"""Events about schedules."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from workflow_engine.engine.publisher.making import event_of
from workflow_engine.model import schedule_events
from workflow_engine.model.events import Event
from workflow_engine.model.schedule import ScheduleRecord, Skipped


def schedule_created(schedule: ScheduleRecord, actor: str | None) -> Event:
    """A schedule was made."""
    return event_of(
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
    return event_of(
        schedule_events.ScheduleUpdated(
            schedule=schedule.name, changed=list(changed), next_at=schedule.next_at, actor=actor
        )
    )


def schedule_paused(schedule: str, actor: str | None) -> Event:
    """A schedule was paused."""
    return event_of(schedule_events.SchedulePaused(schedule=schedule, actor=actor))


def schedule_resumed(schedule: ScheduleRecord, actor: str | None) -> Event:
    """A paused schedule goes on."""
    return event_of(schedule_events.ScheduleResumed(schedule=schedule.name, next_at=schedule.next_at, actor=actor))


def schedule_deleted(schedule: str, actor: str | None) -> Event:
    """A schedule was deleted."""
    return event_of(schedule_events.ScheduleDeleted(schedule=schedule, actor=actor))


def schedule_fired(schedule: str, occurs_at: datetime, late: timedelta) -> Event:
    """An occurrence started a run."""
    late_seconds = round(late.total_seconds(), 6)
    return event_of(schedule_events.ScheduleFired(schedule=schedule, occurs_at=occurs_at, late_seconds=late_seconds))


def schedule_skipped(schedule: str, skipped: Skipped) -> Event:
    """Occurrences started none."""
    return event_of(
        schedule_events.ScheduleSkipped(
            schedule=schedule, occurs_at=skipped.first, until=skipped.last, because=skipped.reason.value
        )
    )

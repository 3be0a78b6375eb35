"""A schedule without a database."""

from datetime import UTC, datetime
from typing import Any

from workflow_engine.model.schedule import CatchUp, Overlap, ScheduleRecord

NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)


def a_schedule(**values: Any) -> ScheduleRecord:
    """Return a schedule of every minute that is due at noon."""
    made: dict[str, Any] = {
        "id": 1,
        "namespace": "default",
        "name": "tick",
        "workflow": "work",
        "version": None,
        "input": None,
        "options": {},
        "cron": "* * * * *",
        "rrule": None,
        "time_zone": "UTC",
        "starts_at": None,
        "ends_at": None,
        "anchor_at": NOON,
        "catch_up": CatchUp.LATEST,
        "overlap": Overlap.ALLOW,
        "paused_at": None,
        "next_at": NOON,
        "last_at": None,
        "created_at": NOON,
        "updated_at": NOON,
    }
    return ScheduleRecord(**made | values)

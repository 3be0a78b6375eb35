"""Schedules: what is said about them, and how they are shown."""

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, Final

from pydantic import BaseModel, ConfigDict, Field
from pydantic.config import JsonDict

from workflow_engine.api.schemas.lifecycle import Actor
from workflow_engine.api.schemas.requests import Moment, RequestBody, Seconds
from workflow_engine.definitions.policies import Priority
from workflow_engine.model.run_options import Text
from workflow_engine.model.schedule import CatchUp, OccurrenceRecord, Overlap, ScheduleRecord, SkipReason

_NOT_OPTIONS: Final = frozenset({"name", "workflow", "input", "actor"})
_EXAMPLE: Final[JsonDict] = {
    "name": "nightly",
    "workflow": "orders",
    "cron": "30 6 * * 1-5",
    "time_zone": "Europe/Berlin",
    "input": {"order_id": 17},
    "overlap": "skip",
}
Version = Annotated[Text, Field(min_length=1, max_length=100)]


class ScheduleTerms(RequestBody):
    """What may be said about a schedule, and about every run of it."""

    cron: str | None = Field(default=None, max_length=200, description="Minute, hour, day, month, weekday.")
    rrule: str | None = Field(default=None, max_length=2_000, description="RFC 5545, without DTSTART; instead of cron.")
    time_zone: str = Field(default="UTC", max_length=100, description="An IANA name: where the rule's clock hangs.")
    start: Moment | None = None
    end: Moment | None = None
    catch_up: CatchUp = CatchUp.LATEST
    overlap: Overlap = Overlap.ALLOW
    input: Any = Field(default=None, description="What every run gets.")
    version: Version | None = Field(default=None, description="Of the workflow; null: the newest of each run's time.")
    title: Annotated[Text, Field(min_length=1, max_length=200)] | None = None
    description: Annotated[Text, Field(max_length=2_000)] | None = None
    tags: list[Annotated[Text, Field(min_length=1, max_length=100)]] = Field(default=[], max_length=50)
    metadata: dict[str, Any] = Field(default={})
    agent: Annotated[Text, Field(min_length=1, max_length=100)] | None = None
    initiator: Annotated[Text, Field(min_length=1, max_length=200)] | None = Field(
        default=None, description="Of every run; only an admin may name somebody else."
    )
    priority: Priority | None = None
    timeout: Seconds | None = None
    actor: Actor | None = None

    @property
    def values(self) -> dict[str, Any]:
        """What was said of the schedule itself, as the client takes it; a null means what it says."""
        return {name: getattr(self, name) for name in self.model_fields_set - _NOT_OPTIONS}


class ScheduleRequest(ScheduleTerms):
    """A schedule to be made."""

    model_config = ConfigDict(json_schema_extra={"examples": [_EXAMPLE]})

    name: Annotated[Text, Field(min_length=1, max_length=100)]
    workflow: Annotated[Text, Field(min_length=1, max_length=100)]


class ScheduleChange(ScheduleTerms):
    """What is to be changed about a schedule; what is not said stays as it is."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"cron": "0 7 * * *", "overlap": "allow"}]})


class Schedule(BaseModel):
    """A schedule."""

    name: str
    namespace: str
    workflow: str
    version: str | None
    input: Any
    options: dict[str, Any] = Field(description="Of every run.")
    cron: str | None
    rrule: str | None
    time_zone: str
    starts_at: datetime | None
    ends_at: datetime | None
    catch_up: CatchUp
    overlap: Overlap
    paused_at: datetime | None
    next_at: datetime | None = Field(description="Null while it is paused, and after the last.")
    last_at: datetime | None = Field(description="The last occurrence that was fired or skipped.")
    created_at: datetime
    updated_at: datetime


class Upcoming(BaseModel):
    """The next occurrences of a schedule."""

    items: list[datetime] = Field(description="In UTC; of a paused schedule those that it lets pass.")


class Occurrence(BaseModel):
    """What became of an occurrence, or of several in a row that were skipped."""

    occurs_at: datetime
    until: datetime = Field(description="The last of them; the same where it is one.")
    run_id: str | None
    skipped: SkipReason | None = Field(description="Null: it was fired.")
    recorded_at: datetime


def schedule_of(record: ScheduleRecord) -> Schedule:
    """Return a schedule as it is shown."""
    return Schedule.model_construct(None, **_fields(record, Schedule))


def occurrence_of(record: OccurrenceRecord) -> Occurrence:
    """Return an occurrence as it is shown."""
    return Occurrence.model_construct(None, **_fields(record, Occurrence))


def _fields(record: object, model: type[BaseModel]) -> Mapping[str, Any]:
    return {name: getattr(record, name) for name in model.model_fields}

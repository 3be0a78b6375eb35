"""Schedules: what starts runs of a workflow again and again, and which of its occurrences are due."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from itertools import islice
from typing import Annotated, Any, Final, Self

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from workflow_engine.errors import InvalidInput
from workflow_engine.model import recurrence
from workflow_engine.model.recurrence import Recurrence
from workflow_engine.model.run_options import RunOptions, Text, checked, run_options

LATE: Final = timedelta(minutes=1)
"""An occurrence that far in the past was missed: no coordinator was there to fire it."""
OF_EVERY_RUN: Final = frozenset(
    {"priority", "title", "description", "tags", "metadata", "agent", "initiator", "timeout"}
)
"""The options of a run that a schedule can have; the others are about one run only."""
_RESERVED: Final = "schedule"


class CatchUp(StrEnum):
    """What becomes of occurrences that nobody fired in time."""

    ALL = "all"
    """Each is fired, oldest first."""
    LATEST = "latest"
    """The last one is fired, the others are skipped."""
    NONE = "none"
    """They are skipped."""


class Overlap(StrEnum):
    """What becomes of an occurrence while a run of an earlier one goes on."""

    ALLOW = "allow"
    """It is fired; both run."""
    SKIP = "skip"
    """It is skipped."""
    CANCEL_RUNNING = "cancel_running"
    """The earlier run is cancelled, and it is fired."""


class SkipReason(StrEnum):
    """Why an occurrence was not fired."""

    LATE = "late"
    OVERLAP = "overlap"


class Timing(BaseModel):
    """When a schedule fires, and what happens if it could not or not yet."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    cron: Text | None = None
    rrule: Text | None = None
    time_zone: Annotated[Text, Field(max_length=100)] = "UTC"
    start: AwareDatetime | None = None
    end: AwareDatetime | None = None
    catch_up: CatchUp = CatchUp.LATEST
    overlap: Overlap = Overlap.ALLOW

    def recurrence(self, anchor: datetime) -> Recurrence:
        """Return when it fires; ``anchor`` is from when an RRULE counts that has no start.

        Raises:
            InvalidInput: the rule, the zone, start or end is wrong.
        """
        if (self.cron is None) == (self.rrule is None):
            raise InvalidInput("cron", "give either cron or rrule")
        if self.rrule is not None:
            return recurrence.calendar(self.rrule, self.time_zone, start=self.start or anchor, end=self.end)
        return recurrence.cron(self.cron or "", self.time_zone, start=self.start, end=self.end)

    def first(self, anchor: datetime, since: datetime) -> datetime:
        """Return the first occurrence since a moment, which may be one itself.

        Raises:
            InvalidInput: there is none, or the rule is wrong.
        """
        found = self.recurrence(anchor).after(since - timedelta(microseconds=1))
        if found is None:
            field = "rrule" if self.cron is None else "cron"
            until = "" if self.end is None else f" until {self.end.isoformat()}"
            raise InvalidInput(field, f"{getattr(self, field)!r} never fires after {since.isoformat()}{until}")
        return found

    def changed(self, changes: Mapping[str, Any]) -> Self:
        """Return it with some fields changed; a new rule takes the place of the old one, whichever kind that was.

        Raises:
            InvalidInput: a field is unknown or of the wrong form.
        """
        values = self.model_dump() | dict(changes)
        for given, other in (("cron", "rrule"), ("rrule", "cron")):
            if changes.get(given) is not None and other not in changes:
                values[other] = None
        return checked(type(self), values)


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What may be changed about a schedule, its input aside."""

    version: str | None
    options: Mapping[str, Any]
    timing: Timing
    anchor_at: datetime
    paused_at: datetime | None = None
    next_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ScheduleRecord:
    """A schedule as it is stored."""

    id: int
    namespace: str
    name: str
    workflow: str
    version: str | None
    """Of the workflow; None is the one registered last when it fires."""
    input: Any
    options: Mapping[str, Any]
    """Of every run."""
    cron: str | None
    rrule: str | None
    time_zone: str
    starts_at: datetime | None
    ends_at: datetime | None
    anchor_at: datetime
    """From when an RRULE counts that has no start."""
    catch_up: CatchUp
    overlap: Overlap
    paused_at: datetime | None
    next_at: datetime | None
    """The next occurrence; None while it is paused, and after the last."""
    last_at: datetime | None
    """The last occurrence that was fired or skipped."""
    created_at: datetime
    updated_at: datetime

    @property
    def timing(self) -> Timing:
        """When it fires."""
        return Timing(
            cron=self.cron,
            rrule=self.rrule,
            time_zone=self.time_zone,
            start=self.starts_at,
            end=self.ends_at,
            catch_up=self.catch_up,
            overlap=self.overlap,
        )

    @property
    def terms(self) -> Terms:
        """What may be changed about it."""
        return Terms(
            version=self.version,
            options=self.options,
            timing=self.timing,
            anchor_at=self.anchor_at,
            paused_at=self.paused_at,
            next_at=self.next_at,
        )

    @property
    def recurrence(self) -> Recurrence:
        """Its occurrences."""
        return self.timing.recurrence(self.anchor_at)

    def upcoming(self, count: int, after: datetime) -> list[datetime]:
        """Return up to ``count`` occurrences after a moment, in UTC, whether or not it is paused."""
        return list(islice(self.recurrence.following(after), count))


@dataclass(frozen=True, slots=True, kw_only=True)
class OccurrenceRecord:
    """What became of an occurrence of a schedule, or of several in a row that were skipped."""

    occurs_at: datetime
    until: datetime
    """The last of them; the same where it is one."""
    run_id: str | None
    skipped: SkipReason | None
    """None: it was fired."""
    recorded_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Skipped:
    """Occurrences in a row that are not fired: the first and the last of them."""

    first: datetime
    last: datetime
    reason: SkipReason


@dataclass(frozen=True, slots=True, kw_only=True)
class Due:
    """What is to be done with the occurrences of a schedule that have come."""

    fire: Sequence[datetime]
    skipped: Sequence[Skipped]
    next_at: datetime | None


def due_occurrences(schedule: ScheduleRecord, now: datetime, limit: int) -> Due:
    """Return what is to be done ``now``, for at most ``limit`` occurrences that are fired; the others stay due."""
    first, rule = schedule.next_at, schedule.recurrence
    if first is None or first > now or limit < 1:
        return Due(fire=(), skipped=(), next_at=first)
    late: list[Skipped] = []
    begin: datetime | None = first
    if schedule.catch_up is CatchUp.LATEST:
        begin = rule.latest(first, now)
        if begin > first:
            late.append(Skipped(first=first, last=_before(rule, first, begin), reason=SkipReason.LATE))
    elif schedule.catch_up is CatchUp.NONE and first < now - LATE:
        last = rule.latest(first, now - LATE)
        late.append(Skipped(first=first, last=last, reason=SkipReason.LATE))
        begin = rule.after(last)
    fire: list[datetime] = []
    while begin is not None and begin <= now and len(fire) < limit:
        fire.append(begin)
        begin = rule.after(begin)
    return Due(fire=fire, skipped=late, next_at=begin)


def without_overlap(due: Due, overlap: Overlap, *, running: bool) -> Due:
    """Return what is left to do where runs of the schedule may not overlap; ``running`` says whether one goes on."""
    if overlap is Overlap.ALLOW or not due.fire:
        return due
    if overlap is Overlap.SKIP:
        fire, skipped = ((), due.fire) if running else (due.fire[:1], due.fire[1:])
    else:  # of those that have come together only the last would go on
        fire, skipped = due.fire[-1:], due.fire[:-1]
    if not skipped:
        return due
    more = Skipped(first=skipped[0], last=skipped[-1], reason=SkipReason.OVERLAP)
    return Due(fire=fire, skipped=[*due.skipped, more], next_at=due.next_at)


def options_of_every_run(**options: Any) -> dict[str, Any]:
    """Return the options that every run of a schedule gets, checked, for storage as JSON.

    Raises:
        InvalidInput: an option is wrong, or is about one run only.
    """
    for name in options:
        if name in RunOptions.model_fields and name not in OF_EVERY_RUN:
            raise InvalidInput(name, "belongs to one run, and a schedule makes many")
    found = checked(RunOptions, options)
    if _RESERVED in found.metadata:
        raise InvalidInput("metadata", f"has a {_RESERVED!r}, which is where runs say which schedule made them")
    return found.model_dump(mode="json", include=set(options))


def options_of_occurrence(schedule: ScheduleRecord, occurs_at: datetime) -> RunOptions:
    """Return the options of the run that an occurrence starts."""
    moment = f"{occurs_at.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"
    return run_options(
        occurs_at,
        **{
            "initiator": f"schedule {schedule.name}",
            **schedule.options,
            "metadata": {**schedule.options.get("metadata", {}), _RESERVED: schedule.name},
            "scheduled_at": occurs_at,
            "correlation_id": f"{schedule.name}:{moment}",
        },
    )


def _before(rule: Recurrence, first: datetime, occurrence: datetime) -> datetime:
    return rule.latest(first, occurrence - timedelta(microseconds=1))

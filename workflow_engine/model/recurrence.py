"""Recurrence: the moments at which a schedule fires, in its time zone.

A rule is read by the clock on the wall. Where that clock is changed:

- A rule that names **times of day** (cron with neither minute nor hour beginning with ``*``; an RRULE of days or more)
  fires once a day and time. What the change skips fires at the first moment after it; what the clock shows twice fires
  the first time.
- A rule that names **intervals** (``*/15 * * * *``; an RRULE of hours or minutes) fires whenever the clock shows such
  a time: what is skipped is not made up for, what comes twice fires twice.
"""

from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta, tzinfo
from functools import lru_cache
from typing import Final
from zoneinfo import ZoneInfo, available_timezones

from workflow_engine.definitions.names import did_you_mean
from workflow_engine.errors import InvalidInput
from workflow_engine.model.local_rules import RULE_LIMIT, CalendarRule, CronRule, LocalRule

_NEAR: Final = timedelta(hours=26)
"""Further away than that, no change of the clocks matters: the largest ever skipped a whole day."""
_SECOND: Final = timedelta(seconds=1)
_YEARS: Final = range(1970, 2400)
"""Years in which a schedule may begin or end."""
_CLOCK_ZONES: Final = frozenset({"localtime", "posixrules", "Factory"})
_KEPT: Final = 1_000
"""Recurrences that a process keeps parsed."""


class Recurrence:
    """When a schedule fires."""

    def __init__(self, rule: LocalRule, zone: tzinfo, *, start: datetime | None, end: datetime | None) -> None:
        """Fire by ``rule`` in ``zone``, from ``start`` to ``end``, both included."""
        self._rule = rule
        self._zone = zone
        self._start = start
        self._end = end

    def after(self, moment: datetime) -> datetime | None:
        """Return the first occurrence after a moment, in UTC; None if there is none."""
        moment = moment.astimezone(UTC)
        if self._start is not None:
            moment = max(moment, self._start - timedelta(microseconds=1))
        found = self._after(moment)
        return None if found is None or (self._end is not None and found > self._end) else found

    def following(self, moment: datetime) -> Iterator[datetime]:
        """Yield the occurrences after a moment, in UTC."""
        found = self.after(moment)
        while found is not None:
            yield found
            found = self.after(found)

    def latest(self, first: datetime, until: datetime) -> datetime:
        """Return the last occurrence not later than ``until``, given one, ``first``, that is not."""
        beyond = until
        while beyond - first > _SECOND:
            middle = first + (beyond - first) / 2
            found = self.after(middle)
            if found is None or found > until:
                beyond = middle
            else:
                first = found
        return first

    def _after(self, moment: datetime) -> datetime | None:
        back = self._change_near(moment)
        local = moment.astimezone(self._zone).replace(tzinfo=None)
        best: datetime | None = None
        shown = local
        for each in self._rule.after(local - back):
            if best is not None and each > shown + back:
                break
            found = min((one for one in self._moments(each) if one > moment), default=None)
            if found is not None and (best is None or found < best):
                best, shown = found, each
            if best is not None and not back:
                break
        return best

    def _change_near(self, moment: datetime) -> timedelta:
        """Return by how much the clocks are changed around a moment; nothing, nearly always."""
        offsets = [(moment + away).astimezone(self._zone).utcoffset() or timedelta() for away in (-_NEAR, _NEAR)]
        offsets.append(moment.astimezone(self._zone).utcoffset() or timedelta())
        return max(offsets) - min(offsets)

    def _moments(self, shown: datetime) -> list[datetime]:
        """Return the moments, in UTC, at which the rule's time on the clock fires."""
        first, second = (shown.replace(tzinfo=self._zone, fold=fold).astimezone(UTC) for fold in (0, 1))
        if first == second:
            return [first]
        if first > second:  # the clock never shows it
            return [self._change_between(second, first)] if self._rule.by_the_clock else []
        return [first] if self._rule.by_the_clock else [first, second]

    def _change_between(self, before: datetime, after: datetime) -> datetime:
        """Return the first moment with the clock as it is ``after``."""
        offset = after.astimezone(self._zone).utcoffset()
        while after - before > _SECOND:
            middle = before + (after - before) // 2
            if middle.astimezone(self._zone).utcoffset() == offset:
                after = middle
            else:
                before = middle
        return after.replace(microsecond=0)


@lru_cache(maxsize=_KEPT)
def cron(text: str, time_zone: str, *, start: datetime | None = None, end: datetime | None = None) -> Recurrence:
    """Return when a cron expression fires.

    Raises:
        InvalidInput: ``cron`` or ``time_zone`` is wrong, or ``end`` is not after ``start``.
    """
    _check_bounds(start, end)
    return Recurrence(CronRule(_short("cron", text)), zone(time_zone), start=start, end=end)


@lru_cache(maxsize=_KEPT)
def calendar(text: str, time_zone: str, *, start: datetime, end: datetime | None = None) -> Recurrence:
    """Return when an RRULE fires whose DTSTART is ``start``.

    Raises:
        InvalidInput: ``rrule`` or ``time_zone`` is wrong, or ``end`` is not after ``start``.
    """
    _check_bounds(start, end)
    found = zone(time_zone)
    rule = CalendarRule(_short("rrule", text), start.astimezone(found).replace(tzinfo=None))
    ends = [each for each in (end, _until(rule.until, found)) if each is not None]
    return Recurrence(rule, found, start=start, end=min(ends, default=None))


def zone(name: str) -> ZoneInfo:
    """Return a time zone of the IANA database.

    Raises:
        InvalidInput: it has none of that name.
    """
    with suppress(KeyError, ValueError, OSError):
        if name not in _CLOCK_ZONES:
            return ZoneInfo(name)
    hint = did_you_mean(name, available_timezones())
    raise InvalidInput("time_zone", f"{name!r} is not a zone such as 'Europe/Berlin'{hint}")


def _short(field: str, text: str) -> str:
    if not text.isascii() or "\x00" in text:
        raise InvalidInput(field, f"must be ASCII text, not {text!r}")
    if len(text) > RULE_LIMIT:
        raise InvalidInput(field, f"has {len(text)} characters; the limit is {RULE_LIMIT}")
    return text


def _check_bounds(start: datetime | None, end: datetime | None) -> None:
    for field, moment in (("start", start), ("end", end)):
        if moment is not None and moment.year not in _YEARS:
            raise InvalidInput(field, f"must be from {_YEARS[0]} to {_YEARS[-1]}, not {moment.isoformat()}")
    if start is not None and end is not None and end <= start:
        raise InvalidInput("end", f"must be after the start, {start.isoformat()}, not {end.isoformat()}")


def _until(text: str | None, zone: tzinfo) -> datetime | None:
    """Return the moment of an UNTIL: of a date its last second, of a time without ``Z`` that of the schedule's zone."""
    if text is None:
        return None
    try:
        for form, length in (("%Y%m%d", timedelta(days=1) - _SECOND), ("%Y%m%dT%H%M%S", timedelta())):
            if len(text.removesuffix("Z")) == len(datetime(2000, 1, 1).strftime(form)):  # noqa: DTZ001
                local = datetime.strptime(text.removesuffix("Z"), form) + length  # noqa: DTZ007  its zone comes next
                return local.replace(tzinfo=UTC if text.endswith("Z") else zone, fold=1).astimezone(UTC)
    except (ValueError, OverflowError):
        pass
    raise InvalidInput("rrule", f"UNTIL must be as 20261231T235959Z, 20261231T235959 or 20261231, not {text}")

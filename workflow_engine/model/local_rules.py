"""When a cron expression or an RRULE fires by the clock on the wall: times without a zone, in order."""

import re
from collections.abc import Iterator
from datetime import datetime, timedelta
from itertools import islice, takewhile
from typing import Final, Protocol

from cronsim import CronSim, CronSimError
from dateutil.rrule import rrule, rrulestr

from workflow_engine.errors import InvalidInput

RULE_LIMIT: Final = 500
"""Characters a rule may have."""
COUNT_LIMIT: Final = 10_000
"""What the COUNT of an RRULE may be."""

_CRON_FIELDS: Final = 5
_NICKNAMES: Final = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
}
_PARTS: Final = frozenset({"FREQ", "INTERVAL", "COUNT", "UNTIL", "WKST", "BYSETPOS"}) | {
    f"BY{each}" for each in ("MONTH", "MONTHDAY", "YEARDAY", "WEEKNO", "DAY", "HOUR", "MINUTE", "SECOND")
}
_RANGES: Final = {
    "BYMONTH": (1, 12, False),
    "BYMONTHDAY": (1, 31, True),
    "BYYEARDAY": (1, 366, True),
    "BYWEEKNO": (1, 53, True),
    "BYSETPOS": (1, 366, True),
    "BYHOUR": (0, 23, False),
    "BYMINUTE": (0, 59, False),
    "BYSECOND": (0, 59, False),
}
"""The lowest and highest number of a part, and whether it may be counted from the end, with a minus sign."""
_DAYS: Final = ("MO", "TU", "WE", "TH", "FR", "SA", "SU")
_CHOOSE_DAYS: Final = ("BYWEEKNO", "BYYEARDAY", "BYMONTHDAY", "BYDAY")
_LENGTHS: Final = {
    "MINUTELY": timedelta(minutes=1),
    "HOURLY": timedelta(hours=1),
    "DAILY": timedelta(days=1),
    "WEEKLY": timedelta(days=7),
}
_FREQUENCIES: Final = ("YEARLY", "MONTHLY", "WEEKLY", "DAILY", "HOURLY", "MINUTELY")
_SHIFT: Final = timedelta(days=146_097 * 19)
"""Nineteen times 400 years, after which the calendar is the same to the day of the week. dateutil looks for a rule's
next day until the year 9999: from today that takes seconds for a rule that has none, from so much later it does not."""


class LocalRule(Protocol):
    """A rule by the clock on the wall."""

    by_the_clock: bool
    """Whether it names times of day, not intervals: what a change of the clocks skips is made up for, and what the
    clocks show twice happens once."""

    def after(self, moment: datetime) -> Iterator[datetime]:
        """Yield the times after ``moment``, in order; few are asked for."""


class CronRule:
    """A cron expression of five fields, as Debian's cron reads it, or a nickname such as ``@daily``."""

    def __init__(self, text: str) -> None:
        """Parse.

        Raises:
            InvalidInput: ``cron`` is no such expression, or can never fire.
        """
        self._text = _NICKNAMES.get(text.strip().lower(), text)
        fields = self._text.split()
        if len(fields) != _CRON_FIELDS:
            hint = "; seconds are not among them: a schedule fires once a minute at most"
            raise InvalidInput(
                "cron", f"{text!r} has {len(fields)} fields, not minute, hour, day, month, weekday{hint}"
            )
        try:
            CronSim(self._text, datetime(2000, 1, 1))  # noqa: DTZ001  by the clock on the wall
        except (CronSimError, ValueError) as error:
            raise InvalidInput("cron", f"{text!r} is not a cron expression that ever fires: {error}") from None
        self.by_the_clock = not fields[0].startswith("*") and not fields[1].startswith("*")

    def after(self, moment: datetime) -> Iterator[datetime]:
        """Yield the times after ``moment``; none once nothing fires for fifty years."""
        try:
            yield from CronSim(self._text, moment)
        except OverflowError:  # the year 9999
            return


class CalendarRule:
    """An RRULE of RFC 5545, counted from a first moment."""

    def __init__(self, text: str, start: datetime) -> None:
        """Parse; ``start`` is its DTSTART: it says what the rule leaves open, and is no occurrence unless it fits.

        Raises:
            InvalidInput: ``rrule`` is no such rule, or may fire more than once a minute.
        """
        self._start = start.replace(microsecond=0)
        parts = _parts_of(text)
        self.until = parts.pop("UNTIL", None)
        """As the rule says it."""
        self._count = _whole(parts, "COUNT", COUNT_LIMIT) if "COUNT" in parts else None
        parts.pop("COUNT", None)
        if self._count is not None and self.until is not None:
            raise InvalidInput("rrule", "has both COUNT and UNTIL: one of them says where it ends")
        self._frequency = parts["FREQ"]
        self._interval = _whole(parts, "INTERVAL", 100_000) if "INTERVAL" in parts else 1
        self._week_start = _week_start(parts.get("WKST", "MO"))
        self._rule = _complete(parts, self._start)
        self.by_the_clock = self._frequency not in {"HOURLY", "MINUTELY"}
        self._last = self._last_of(self._count)

    def after(self, moment: datetime) -> Iterator[datetime]:
        """Yield the times after ``moment``; none once nothing fires for centuries."""
        found = self._after(max(moment, self._start - timedelta(seconds=1)))
        return found if self._last is None else takewhile(self._last.__ge__, found)

    def _after(self, moment: datetime) -> Iterator[datetime]:
        try:
            rule = self._rule.replace(dtstart=self._period_of(moment) + _SHIFT)
            for each in rule.xafter(moment + _SHIFT):
                yield each - _SHIFT
        except (OverflowError, ValueError):  # the year 9999
            return

    def _last_of(self, count: int | None) -> datetime | None:
        """Return the time with which a count is used up; None where there is none."""
        if count is None:
            return None
        times = list(islice(self._after(self._start - timedelta(seconds=1)), count))
        return times[-1] if len(times) == count else None

    def _period_of(self, moment: datetime) -> datetime:
        """Return where the period of ``moment`` begins: the rule goes on from there as it would from its start."""
        first = _beginning(self._start, self._frequency, self._week_start)
        if self._frequency in _LENGTHS:
            length = _LENGTHS[self._frequency] * self._interval
            return first + max((moment - first) // length, 0) * length
        months = self._interval * (12 if self._frequency == "YEARLY" else 1)
        passed = (moment.year - first.year) * 12 + moment.month - first.month
        year, month = divmod(first.year * 12 + first.month - 1 + max(passed // months, 0) * months, 12)
        return first.replace(year=year, month=month + 1)


def _parts_of(text: str) -> dict[str, str]:
    parts: dict[str, str] = {}
    for part in text.strip().upper().removeprefix("RRULE:").rstrip(";").split(";"):
        name, _, value = part.partition("=")
        if "DTSTART" in part or "\n" in part:
            raise InvalidInput("rrule", "is one rule alone; say with `start`, not DTSTART, when it begins")
        if name not in _PARTS or not value or name in parts:
            raise InvalidInput("rrule", f"{part!r} is not a part of an RRULE, or comes twice")
        parts[name] = value
    for name in parts.keys() & _RANGES.keys():
        _check_numbers(name, parts[name])
    if parts.get("FREQ") == "SECONDLY" or "," in parts.get("BYSECOND", ""):
        raise InvalidInput("rrule", "would fire more often than once a minute, which no schedule may")
    if parts.get("FREQ") not in _FREQUENCIES:
        raise InvalidInput("rrule", f"FREQ must be one of {', '.join(_FREQUENCIES)}, not {parts.get('FREQ')!r}")
    if "BYDAY" in parts:
        _check_days(parts["BYDAY"], 53 if parts["FREQ"] == "YEARLY" and "BYMONTH" not in parts else 5)
    return parts


def _check_numbers(name: str, value: str) -> None:
    """Refuse what dateutil would take and stumble over later."""
    lowest, highest, from_the_end = _RANGES[name]
    sign = "[+-]?" if from_the_end else ""
    for each in value.split(","):
        if not re.fullmatch(f"{sign}[0-9]{{1,3}}", each) or not lowest <= int(each.lstrip("+-")) <= highest:
            backwards = f", or from -{highest} to -{lowest}" if from_the_end else ""
            raise InvalidInput("rrule", f"{name} must be from {lowest} to {highest}{backwards}, not {each!r}")


def _check_days(value: str, highest: int) -> None:
    """Refuse a day of the week that no month or year has so many of: dateutil looks for it beyond its tables."""
    for each in value.split(","):
        found = re.fullmatch(f"(?:[+-]?([0-9]{{1,2}}))?(?:{'|'.join(_DAYS)})", each)
        if found is None or not 1 <= int(found[1] or 1) <= highest:
            raise InvalidInput(
                "rrule", f"BYDAY must be {', '.join(_DAYS)}, or which of them from 1 to {highest}, as 2MO, not {each!r}"
            )


def _whole(parts: dict[str, str], name: str, limit: int) -> int:
    value = parts[name]
    if not (value.isascii() and value.isdigit() and 1 <= int(value[:10]) <= limit and len(value) <= len(str(limit))):
        raise InvalidInput("rrule", f"{name} must be from 1 to {limit}, not {value}")
    return int(value)


def _week_start(day: str) -> int:
    if day not in _DAYS:
        raise InvalidInput("rrule", f"WKST must be one of {', '.join(_DAYS)}, not {day!r}")
    return _DAYS.index(day)


def _complete(parts: dict[str, str], start: datetime) -> rrule:
    """Return the rule with what it leaves to its start said in words, so that it may be begun anywhere."""
    implied: dict[str, object] = {}
    frequency = parts["FREQ"]
    if not any(name in parts for name in _CHOOSE_DAYS):
        if frequency == "YEARLY" and "BYMONTH" not in parts:
            implied["BYMONTH"] = start.month
        if frequency in {"YEARLY", "MONTHLY"}:
            implied["BYMONTHDAY"] = start.day
        if frequency == "WEEKLY":
            implied["BYDAY"] = _DAYS[start.weekday()]
    times = {"BYHOUR": start.hour, "BYMINUTE": start.minute, "BYSECOND": start.second}
    coarser = {"HOURLY": ("BYMINUTE", "BYSECOND"), "MINUTELY": ("BYSECOND",)}.get(frequency, tuple(times))
    implied |= {name: times[name] for name in coarser}
    text = ";".join(f"{name}={value}" for name, value in (implied | parts).items())
    try:
        found = rrulestr(f"RRULE:{text}", dtstart=start)
    except (ValueError, TypeError, IndexError, KeyError, OverflowError) as error:
        raise InvalidInput("rrule", f"is not an RRULE that ever fires: {error}") from None
    assert isinstance(found, rrule)  # noqa: S101  a text of one rule
    return found


def _beginning(start: datetime, frequency: str, week_start: int) -> datetime:
    if frequency == "MINUTELY":
        return start.replace(second=0)
    if frequency == "HOURLY":
        return start.replace(minute=0, second=0)
    day = start.replace(hour=0, minute=0, second=0)
    if frequency == "WEEKLY":
        return day - timedelta(days=(day.weekday() - week_start) % 7)
    if frequency == "MONTHLY":
        return day.replace(day=1)
    return day.replace(month=1, day=1) if frequency == "YEARLY" else day

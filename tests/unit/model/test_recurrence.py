"""When schedules fire where clocks are changed, compared with a walk through every minute."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from itertools import islice
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workflow_engine.errors import InvalidInput
from workflow_engine.model import recurrence
from workflow_engine.model.recurrence import Recurrence

BERLIN, NEW_YORK, LORD_HOWE = "Europe/Berlin", "America/New_York", "Australia/Lord_Howe"
CHANGES = {
    BERLIN: [datetime(2026, 3, 29, 1, tzinfo=UTC), datetime(2026, 10, 25, 1, tzinfo=UTC)],
    NEW_YORK: [datetime(2026, 3, 8, 7, tzinfo=UTC), datetime(2026, 11, 1, 6, tzinfo=UTC)],
    LORD_HOWE: [datetime(2026, 10, 3, 15, 30, tzinfo=UTC), datetime(2026, 4, 4, 15, tzinfo=UTC)],
    "UTC": [datetime(2026, 3, 29, 1, tzinfo=UTC)],
    "Asia/Kolkata": [datetime(2026, 3, 29, 1, tzinfo=UTC)],
    "America/Sao_Paulo": [datetime(2018, 11, 4, 3, tzinfo=UTC), datetime(2019, 2, 17, 2, tzinfo=UTC)],  # at midnight
    "Africa/Casablanca": [datetime(2026, 2, 15, 2, tzinfo=UTC), datetime(2026, 3, 22, 2, tzinfo=UTC)],  # Ramadan
    "Pacific/Apia": [datetime(2011, 12, 30, 10, tzinfo=UTC)],  # 30 December was skipped
}
MINUTE = timedelta(minutes=1)


def local(rule: Recurrence, zone: str, after: datetime, number: int = 3) -> list[str]:
    """Return the next occurrences by the clock on the wall."""
    found = islice(rule.following(after), number)
    return [each.astimezone(ZoneInfo(zone)).strftime("%m-%d %H:%M %Z") for each in found]


@pytest.mark.parametrize(
    ("zone", "text", "expected"),
    [
        (BERLIN, "30 2 * * *", ["03-28 02:30 CET", "03-29 03:00 CEST", "03-30 02:30 CEST"]),
        (BERLIN, "0,30 2 * * *", ["03-28 02:30 CET", "03-29 03:00 CEST", "03-30 02:00 CEST"]),
        (NEW_YORK, "30 2 * * *", ["03-07 02:30 EST", "03-08 03:00 EDT", "03-09 02:30 EDT"]),
        (LORD_HOWE, "15 2 * * *", ["10-03 02:15 +1030", "10-04 02:30 +11", "10-05 02:15 +11"]),
        (BERLIN, "30 * * * *", ["03-29 00:30 CET", "03-29 01:30 CET", "03-29 03:30 CEST"]),
        (NEW_YORK, "30 */2 * * *", ["03-08 00:30 EST", "03-08 04:30 EDT", "03-08 06:30 EDT"]),
        (LORD_HOWE, "*/15 * * * *", ["10-04 01:30 +1030", "10-04 01:45 +1030", "10-04 02:30 +11"]),
    ],
)
def test_what_the_clock_skips_is_made_up_for_by_times_of_day_only(zone: str, text: str, expected: list[str]) -> None:
    rule = recurrence.cron(text, zone)
    first = datetime.strptime(f"2026-{expected[0][:11]}", "%Y-%m-%d %H:%M").replace(tzinfo=ZoneInfo(zone))

    assert local(rule, zone, first - MINUTE) == expected


@pytest.mark.parametrize(
    ("zone", "text", "expected"),
    [
        (BERLIN, "30 2 * * *", ["10-24 02:30 CEST", "10-25 02:30 CEST", "10-26 02:30 CET"]),
        (NEW_YORK, "30 1 * * *", ["10-31 01:30 EDT", "11-01 01:30 EDT", "11-02 01:30 EST"]),
        (LORD_HOWE, "45 1 * * *", ["04-04 01:45 +11", "04-05 01:45 +11", "04-06 01:45 +1030"]),
        (BERLIN, "30 * * * *", ["10-25 02:30 CEST", "10-25 02:30 CET", "10-25 03:30 CET"]),
        (NEW_YORK, "0 */1 * * *", ["11-01 01:00 EDT", "11-01 01:00 EST", "11-01 02:00 EST"]),
        (LORD_HOWE, "*/15 * * * *", ["04-05 01:45 +11", "04-05 01:30 +1030", "04-05 01:45 +1030"]),
    ],
)
def test_what_the_clock_shows_twice_happens_once_by_times_of_day_and_twice_by_intervals(
    zone: str, text: str, expected: list[str]
) -> None:
    rule = recurrence.cron(text, zone)
    first = datetime.strptime(f"2026-{expected[0][:11]}", "%Y-%m-%d %H:%M").replace(tzinfo=ZoneInfo(zone))

    assert local(rule, zone, first - MINUTE) == expected


def test_an_rrule_of_days_or_more_names_times_of_day_and_one_of_hours_or_minutes_intervals() -> None:
    start = datetime(2026, 1, 1, 2, 30, tzinfo=ZoneInfo(BERLIN))
    spring, autumn = datetime(2026, 3, 28, 12, tzinfo=UTC), datetime(2026, 10, 24, 12, tzinfo=UTC)
    daily = recurrence.calendar("FREQ=DAILY", BERLIN, start=start)
    weekly = recurrence.calendar("FREQ=WEEKLY;BYDAY=SU", BERLIN, start=start)
    hourly = recurrence.calendar("FREQ=HOURLY", BERLIN, start=start)

    assert local(daily, BERLIN, spring, 2) == ["03-29 03:00 CEST", "03-30 02:30 CEST"]
    assert local(daily, BERLIN, autumn, 2) == ["10-25 02:30 CEST", "10-26 02:30 CET"]
    assert local(weekly, BERLIN, spring, 2) == ["03-29 03:00 CEST", "04-05 02:30 CEST"]
    assert local(hourly, BERLIN, datetime(2026, 3, 29, tzinfo=UTC), 2) == ["03-29 01:30 CET", "03-29 03:30 CEST"]
    assert local(hourly, BERLIN, datetime(2026, 10, 25, tzinfo=UTC), 2) == ["10-25 02:30 CEST", "10-25 02:30 CET"]


Matches = Callable[[datetime], bool]


def walk(matches: Matches, zone: str, begin: datetime, days: int, *, by_the_clock: bool) -> Iterator[datetime]:
    """Yield the occurrences by looking at every minute, and at what the clock shows then."""
    place = ZoneInfo(zone)
    shown: set[datetime] = set()
    previous = (begin - MINUTE).astimezone(place).replace(tzinfo=None)
    for number in range(days * 24 * 60):
        moment = begin + number * MINUTE
        now = moment.astimezone(place).replace(tzinfo=None)
        if by_the_clock:
            skipped = [previous + each * MINUTE for each in range(1, (now - previous) // MINUTE)]
            if any(matches(each) for each in [*skipped, now] if each not in shown):
                yield moment
            shown |= {*skipped, now}
        elif matches(now):
            yield moment
        previous = now


def field(lowest: int, highest: int) -> st.SearchStrategy[set[int]]:
    return st.sets(st.integers(lowest, highest), min_size=1, max_size=4)


def written(values: set[int]) -> str:
    return ",".join(map(str, sorted(values)))


def weekday(day: datetime) -> int:
    return day.isoweekday() % 7


@st.composite
def cron_rules(draw: st.DrawFn) -> tuple[str, Matches, bool]:
    """A cron expression, what it means, and whether it names times of day."""
    minutes, hours, weekdays = draw(field(0, 59)), draw(field(0, 5) | field(0, 23)), draw(field(0, 6))
    step = draw(st.sampled_from([None, None, 5, 15, 20]))
    every_hour, every_day = draw(st.booleans()), draw(st.booleans())
    if step:
        minutes = set(range(0, 60, step))
    hours = set(range(24)) if every_hour else hours
    weekdays = set(range(7)) if every_day else weekdays
    text = " ".join(
        [
            f"*/{step}" if step else written(minutes),
            "*" if every_hour else written(hours),
            *("*", "*"),
            "*" if every_day else written(weekdays),
        ]
    )
    return (
        text,
        lambda at: at.minute in minutes and at.hour in hours and weekday(at) in weekdays,
        step is None and not every_hour,
    )


@st.composite
def calendar_rules(draw: st.DrawFn) -> tuple[str, Matches, bool]:
    """An RRULE, what it means, and whether it names times of day."""
    minutes, hours, weekdays = draw(field(0, 59)), draw(field(0, 5)), draw(field(0, 6))
    days = ",".join(["SU", "MO", "TU", "WE", "TH", "FR", "SA"][day] for day in sorted(weekdays))
    frequency = draw(st.sampled_from(["DAILY", "WEEKLY", "HOURLY", "MINUTELY"]))
    text = f"FREQ={frequency};BYDAY={days};BYHOUR={written(hours)};BYMINUTE={written(minutes)}"
    return (
        text,
        lambda at: at.minute in minutes and at.hour in hours and weekday(at) in weekdays,
        frequency in {"DAILY", "WEEKLY"},
    )


changes = st.sampled_from([(zone, change) for zone, found in CHANGES.items() for change in found])


@settings(deadline=None, max_examples=20)
@given(change=changes, rule=cron_rules(), hours=st.integers(-30, 20), seconds=st.integers(0, 59))
def test_cron_fires_as_a_walk_through_every_minute_says(
    change: tuple[str, datetime], rule: tuple[str, Matches, bool], hours: int, seconds: int
) -> None:
    zone, moment = change
    text, matches, by_the_clock = rule
    begin = moment + timedelta(hours=hours)

    expected = list(walk(matches, zone, moment - timedelta(days=2), 4, by_the_clock=by_the_clock))
    asked = begin + timedelta(seconds=seconds)
    found = islice(recurrence.cron(text, zone).following(asked), 60)

    ends = moment + timedelta(days=2)
    assert [each for each in found if each < ends] == [each for each in expected if each > asked][:60]


@settings(deadline=None, max_examples=20)
@given(change=changes, rule=calendar_rules(), hours=st.integers(-30, 20))
def test_an_rrule_fires_as_a_walk_through_every_minute_says(
    change: tuple[str, datetime], rule: tuple[str, Matches, bool], hours: int
) -> None:
    zone, moment = change
    text, matches, by_the_clock = rule
    asked = moment + timedelta(hours=hours)
    start = (moment - timedelta(days=9)).replace(second=0)

    expected = list(walk(matches, zone, moment - timedelta(days=2), 4, by_the_clock=by_the_clock))
    found = islice(recurrence.calendar(text, zone, start=start).following(asked), 40)

    ends = moment + timedelta(days=2)
    assert [each for each in found if each < ends] == [each for each in expected if each > asked][:40]


@settings(deadline=None, max_examples=20)
@given(change=changes, rule=cron_rules(), length=st.timedeltas(timedelta(), timedelta(hours=30)))
def test_the_latest_occurrence_is_the_last_of_those_that_follow(
    change: tuple[str, datetime], rule: tuple[str, Matches, bool], length: timedelta
) -> None:
    zone, moment = change
    found = recurrence.cron(rule[0], zone)
    first = found.after(moment - timedelta(hours=20))
    assert first is not None
    until = first + length

    *_, last = (each for each in [first, *_until(found, first, until)])

    assert found.latest(first, until) == last


def _until(rule: Recurrence, first: datetime, until: datetime) -> Iterator[datetime]:
    for each in rule.following(first):
        if each > until:
            return
        yield each


def test_the_latest_of_years_of_minutes_is_found_at_once() -> None:
    rule = recurrence.cron("* * * * *", BERLIN)
    first = datetime(2016, 1, 1, tzinfo=UTC)

    assert rule.latest(first, datetime(2026, 11, 21, 10, 7, 59, tzinfo=UTC)) == datetime(
        2026, 11, 21, 10, 7, tzinfo=UTC
    )


def test_start_and_end_are_included() -> None:
    start, end = datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 1, 3, tzinfo=UTC)
    rule = recurrence.cron("0 0 * * *", "UTC", start=start, end=end)

    assert list(rule.following(datetime(2020, 1, 1, tzinfo=UTC))) == [start, start + timedelta(days=1), end]
    assert rule.after(end) is None


@pytest.mark.parametrize(
    ("until", "last"),
    [
        ("20260103", "2026-01-03 09:00"),
        ("20260103T080000Z", "2026-01-03 09:00"),
        ("20260103T075959Z", "2026-01-02 09:00"),
        ("20260103T090000", "2026-01-03 09:00"),
        ("20260103T085959", "2026-01-02 09:00"),
    ],
)
def test_until_is_in_the_zone_of_the_schedule_unless_it_says_utc(until: str, last: str) -> None:
    start = datetime(2026, 1, 1, 8, tzinfo=UTC)
    rule = recurrence.calendar(f"FREQ=DAILY;UNTIL={until}", BERLIN, start=start)

    *_, found = rule.following(datetime(2025, 1, 1, tzinfo=UTC))

    assert found.astimezone(ZoneInfo(BERLIN)).strftime("%Y-%m-%d %H:%M") == last


@pytest.mark.parametrize("until", ["TOMORROW", "2026-12-31", "20261331", "20260101T250000Z", "20261231T", "Z"])
def test_an_until_that_is_none_is_refused(until: str) -> None:
    with pytest.raises(InvalidInput, match="UNTIL must be as"):
        recurrence.calendar(f"FREQ=DAILY;UNTIL={until}", "UTC", start=datetime(2026, 1, 1, tzinfo=UTC))


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("Europe/Berln", "did you mean 'Europe/Berlin'"),
        ("europe/berlin", "did you mean 'Europe/Berlin'"),
        ("", "''"),
        ("America", "'America'"),
        ("../../etc/passwd", "passwd"),
        ("/etc/localtime", "localtime"),
        ("localtime", "localtime"),
        ("UTC\x00", "UTC"),
        ("\ud800", "ud800"),
        ("+02:00", "02:00"),
    ],
)
def test_a_zone_that_is_none_is_refused(name: str, said: str) -> None:
    with pytest.raises(InvalidInput, match=said) as caught:
        recurrence.zone(name)

    assert caught.value.field == "time_zone"


def test_bounds_and_lengths_are_checked() -> None:
    start, year = datetime(2026, 1, 1, tzinfo=UTC), timedelta(days=366)

    with pytest.raises(InvalidInput, match="end: must be after the start"):
        recurrence.cron("0 0 * * *", "UTC", start=start, end=start)
    with pytest.raises(InvalidInput, match="start: must be from 1970 to 2399"):
        recurrence.cron("0 0 * * *", "UTC", start=start + 400 * year)
    with pytest.raises(InvalidInput, match="end: must be from 1970 to 2399"):
        recurrence.cron("0 0 * * *", "UTC", end=start - 100 * year)
    with pytest.raises(InvalidInput, match="cron: has 1000 characters"):
        recurrence.cron("1,2," * 250, "UTC")
    with pytest.raises(InvalidInput, match="rrule: must be ASCII text"):
        recurrence.calendar("FREQ=DAILY\x00", "UTC", start=start)


def test_what_never_comes_has_no_next_occurrence() -> None:
    start = datetime(2026, 1, 1, tzinfo=UTC)

    assert recurrence.cron("0 0 * 2 2#5", "UTC").after(start) == datetime(2028, 2, 29, tzinfo=UTC)
    assert recurrence.calendar("FREQ=DAILY;BYMONTH=2;BYMONTHDAY=30", "UTC", start=start).after(start) is None
    assert recurrence.calendar("FREQ=DAILY;UNTIL=20251231", "UTC", start=start).after(start) is None

"""Rules by the clock on the wall: what they refuse, and that they fire as they say wherever they are asked."""

from datetime import datetime, timedelta
from itertools import islice, takewhile

import pytest
from dateutil.rrule import rrulestr
from hypothesis import given, settings
from hypothesis import strategies as st

from workflow_engine.errors import InvalidInput
from workflow_engine.model.local_rules import CalendarRule, CronRule


def clock(*parts: int) -> datetime:
    """Return what the clock on the wall shows."""
    return datetime(*parts)  # type: ignore[arg-type,misc]  # noqa: DTZ001


START = clock(2026, 11, 21, 10, 7, 17)  # a Saturday


def times(text: str, start: datetime = START, after: datetime = START, number: int = 3) -> list[str]:
    return [each.strftime("%Y-%m-%d %H:%M:%S") for each in islice(CalendarRule(text, start).after(after), number)]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "0 fields"),
        ("* * * *", "4 fields"),
        ("* * * * * *", "6 fields"),
        ("*/5 * * * * *", "once a minute at most"),
        ("@reboot", "1 fields"),
        ("60 * * * *", "Bad minute"),
        ("* 24 * * *", "Bad hour"),
        ("0 0 30 2 *", "Bad day-of-month"),
        ("0 0 31 4,6,9,11 *", "Bad day-of-month"),
        ("0 0 0 * *", "Bad day-of-month"),
        ("0 0 * 13 *", "Bad month"),
        ("0 0 * * FOO", "Bad day-of-week"),
        ("*/0 * * * *", "Bad minute"),
        ("5-1 * * * *", "Bad minute"),
        ("- - - - -", "Bad minute"),
        ("0 0 * * \u00b2L", "not a cron expression"),
    ],
)
def test_a_cron_expression_that_is_none_or_never_fires_is_refused(text: str, said: str) -> None:
    with pytest.raises(InvalidInput, match=said) as caught:
        CronRule(text)

    assert caught.value.field == "cron"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "is not a part"),
        ("nonsense", "is not a part"),
        ("FREQ=SECONDLY", "more often than once a minute"),
        ("FREQ=SECONDLY;INTERVAL=3600", "more often than once a minute"),
        ("FREQ=MINUTELY;BYSECOND=0,30", "more often than once a minute"),
        ("FREQ=FORTNIGHTLY", "FREQ must be one of YEARLY"),
        ("INTERVAL=2", "FREQ must be one of YEARLY"),
        ("FREQ=DAILY;FREQ=DAILY", "comes twice"),
        ("FREQ=DAILY;BYEASTER=1", "is not a part"),
        ("FREQ=DAILY;COLOUR=RED", "is not a part"),
        ("FREQ=DAILY;BYHOUR=", "is not a part"),
        ("FREQ=DAILY;DTSTART=20260101T000000", "with `start`"),
        ("DTSTART:20260101T000000\nRRULE:FREQ=DAILY", "with `start`"),
        ("FREQ=DAILY;COUNT=0", "COUNT must be from 1"),
        ("FREQ=DAILY;COUNT=-1", "COUNT must be from 1"),
        ("FREQ=DAILY;COUNT=10001", "COUNT must be from 1"),
        ("FREQ=DAILY;COUNT=" + "9" * 400, "COUNT must be from 1"),
        ("FREQ=DAILY;INTERVAL=0", "INTERVAL must be from 1"),
        ("FREQ=DAILY;INTERVAL=1.5", "INTERVAL must be from 1"),
        ("FREQ=DAILY;COUNT=3;UNTIL=20301231", "both COUNT and UNTIL"),
        ("FREQ=DAILY;WKST=XX", "WKST must be one of"),
        ("FREQ=DAILY;BYHOUR=x", "BYHOUR must be from 0 to 23, not 'X'"),
        ("FREQ=DAILY;BYHOUR=24", "BYHOUR must be from 0 to 23"),
        ("FREQ=HOURLY;BYHOUR=-1", "BYHOUR must be from 0 to 23"),
        ("FREQ=DAILY;BYMINUTE=0,60", "BYMINUTE must be from 0 to 59, not '60'"),
        ("FREQ=DAILY;BYSECOND=60", "BYSECOND must be"),
        ("FREQ=MONTHLY;BYMONTHDAY=0", "BYMONTHDAY must be from 1 to 31, or from -31 to -1, not '0'"),
        ("FREQ=DAILY;BYMONTHDAY=32", "BYMONTHDAY must be"),
        ("FREQ=DAILY;BYMONTH=13", "BYMONTH must be from 1 to 12, not"),
        ("FREQ=DAILY;BYMONTH=,", "BYMONTH must be"),
        ("FREQ=YEARLY;BYWEEKNO=-54", "BYWEEKNO must be"),
        ("FREQ=YEARLY;BYYEARDAY=400", "BYYEARDAY must be"),
        ("FREQ=DAILY;BYDAY=XX", "BYDAY must be MO, TU, WE, TH, FR, SA, SU, or which of them from 1 to 5, .*, not 'XX'"),
        ("FREQ=MONTHLY;BYDAY=99MO", "from 1 to 5, as 2MO, not '99MO'"),
        ("FREQ=MONTHLY;BYDAY=TU,-6MO", "from 1 to 5, as 2MO, not '-6MO'"),
        ("FREQ=YEARLY;BYMONTH=12;BYDAY=53MO", "from 1 to 5"),
        ("FREQ=YEARLY;BYDAY=-54MO", "from 1 to 53"),
        ("FREQ=YEARLY;BYDAY=0MO", "from 1 to 53"),
        ("FREQ=DAILY;BYSETPOS=400", "BYSETPOS must be"),
        ("FREQ=HOURLY;INTERVAL=24;BYHOUR=5", "ever fires"),
        ("FREQ=MINUTELY;INTERVAL=2;BYMINUTE=8", "ever fires"),
    ],
)
def test_an_rrule_that_is_none_or_fires_too_often_is_refused(text: str, said: str) -> None:
    with pytest.raises(InvalidInput, match=said) as caught:
        CalendarRule(text, START)

    assert caught.value.field == "rrule"


@pytest.mark.parametrize("kind", ["YEARLY", "YEARLY;BYMONTH=2", "YEARLY;BYWEEKNO=53", "MONTHLY", "WEEKLY", "DAILY"])
@pytest.mark.parametrize("day", ["5MO", "-5SU", "+1TU", "53FR", "-53SA"])
def test_every_numbered_day_that_is_taken_can_be_looked_for(kind: str, day: str) -> None:
    try:
        rule = CalendarRule(f"FREQ={kind};BYDAY={day}", START)
    except InvalidInput:
        return

    assert len(list(islice(rule.after(START), 3))) in {0, 3}


@pytest.mark.parametrize(
    "text",
    [
        "FREQ=DAILY;BYMONTH=2;BYMONTHDAY=30",
        "FREQ=MINUTELY;BYMONTH=2;BYMONTHDAY=30",
        "FREQ=YEARLY;BYWEEKNO=53;BYMONTH=6",
        "FREQ=DAILY;INTERVAL=7;BYDAY=MO",
        "FREQ=MONTHLY;INTERVAL=12;BYMONTH=2",
        "FREQ=DAILY;COUNT=5;BYMONTH=2;BYMONTHDAY=30",
    ],
)
def test_a_search_for_what_never_comes_ends(text: str) -> None:
    assert times(text) == []


def test_what_the_rule_leaves_open_comes_from_its_start() -> None:
    assert times("FREQ=DAILY") == ["2026-11-22 10:07:17", "2026-11-23 10:07:17", "2026-11-24 10:07:17"]
    assert times("RRULE:FREQ=WEEKLY;INTERVAL=2;", number=2) == ["2026-12-05 10:07:17", "2026-12-19 10:07:17"]
    assert times("freq=monthly;byday=-1fr;byhour=9", number=2) == ["2026-11-27 09:07:17", "2026-12-25 09:07:17"]
    assert times("FREQ=YEARLY;BYMINUTE=0;BYSECOND=0", number=1) == ["2027-11-21 10:00:00"]
    assert times("FREQ=HOURLY;INTERVAL=6", number=2) == ["2026-11-21 16:07:17", "2026-11-21 22:07:17"]


def test_a_month_without_that_day_has_no_occurrence() -> None:
    start = clock(2026, 1, 31, 8)

    assert times("FREQ=MONTHLY", start, start) == ["2026-03-31 08:00:00", "2026-05-31 08:00:00", "2026-07-31 08:00:00"]
    assert times("FREQ=YEARLY", clock(2024, 2, 29), start, 1) == ["2028-02-29 00:00:00"]


def test_the_start_is_an_occurrence_if_it_fits_and_nothing_is_before_it() -> None:
    before = START - timedelta(days=400)

    assert times("FREQ=DAILY", after=before, number=1) == ["2026-11-21 10:07:17"]
    assert times("FREQ=DAILY;BYHOUR=9", after=before, number=1) == ["2026-11-22 09:07:17"]
    assert times("FREQ=MINUTELY;INTERVAL=30", after=before, number=1) == ["2026-11-21 10:07:17"]


def test_a_count_is_counted_from_the_start_wherever_one_asks() -> None:
    assert times("FREQ=DAILY;COUNT=3", after=START - timedelta(1)) == [
        "2026-11-21 10:07:17",
        "2026-11-22 10:07:17",
        "2026-11-23 10:07:17",
    ]
    assert times("FREQ=DAILY;COUNT=3", after=clock(2026, 11, 23)) == ["2026-11-23 10:07:17"]
    assert times("FREQ=DAILY;COUNT=3", after=clock(2026, 11, 24)) == []


def test_a_nickname_is_a_cron_expression() -> None:
    assert next(CronRule("@daily").after(START)) == clock(2026, 11, 22)
    assert next(CronRule("@Hourly").after(START)) == clock(2026, 11, 21, 11)


def test_seconds_count_when_asked_what_comes_after() -> None:
    rule = CronRule("* * * * *")

    assert next(rule.after(clock(2026, 1, 1, 0, 0, 0))) == clock(2026, 1, 1, 0, 1)
    assert next(rule.after(clock(2025, 12, 31, 23, 59, 59, 999_999))) == clock(2026, 1, 1)


numbers = st.integers
PARTS = {
    "INTERVAL": numbers(1, 9).map(str),
    "BYMONTH": st.lists(numbers(1, 12), min_size=1, max_size=4, unique=True).map(lambda each: ",".join(map(str, each))),
    "BYMONTHDAY": st.sampled_from(["1", "31", "-1", "28,29,30", "5,-5", "13"]),
    "BYDAY": st.sampled_from(["MO", "SA,SU", "MO,TU,WE,TH,FR", "FR"]),
    "BYHOUR": st.sampled_from(["0", "2", "0,6,12,18", "23"]),
    "BYMINUTE": st.sampled_from(["0", "0,15,30,45", "59"]),
    "WKST": st.sampled_from(["MO", "SU", "WE"]),
}


@settings(deadline=None, max_examples=40)
@given(
    frequency=st.sampled_from(["YEARLY", "MONTHLY", "WEEKLY", "DAILY", "HOURLY", "MINUTELY"]),
    parts=st.fixed_dictionaries({}, optional=PARTS),
    start=st.datetimes(clock(2020, 1, 1), clock(2023, 1, 1)),
    ahead=st.timedeltas(timedelta(days=-2), timedelta(days=9)),
)
def test_an_rrule_begun_in_the_middle_is_the_one_begun_at_its_start(
    frequency: str, parts: dict[str, str], start: datetime, ahead: timedelta
) -> None:
    """dateutil walks from the start each time; we begin near the moment that is asked about."""
    text = ";".join(f"{name}={value}" for name, value in ({"FREQ": frequency} | parts).items())
    asked = start + ahead
    try:
        rule = CalendarRule(text, start)
    except InvalidInput:
        return
    until = asked + timedelta(days=1 if frequency in {"MINUTELY", "HOURLY"} else 90)

    plain = rrulestr(f"{text};UNTIL={until:%Y%m%dT%H%M%S}", dtstart=start.replace(microsecond=0))
    expected = takewhile(lambda each: each <= until, plain.xafter(asked))
    found = takewhile(lambda each: each <= until, rule.after(asked))

    assert list(islice(found, 50)) == list(islice(expected, 50))


@settings(deadline=None, max_examples=100)
@given(
    st.one_of(
        st.text(max_size=40),
        st.text("FREQDAILYINTVMOUWKS=;,-0123456789", max_size=40).map("FREQ=MONTHLY;{}".format),
        st.dictionaries(
            st.sampled_from(["BYMONTH", "BYMONTHDAY", "BYDAY", "BYHOUR", "BYSETPOS", "WKST", "COUNT", "UNTIL"]),
            st.text("0123456789,-+MOTUWEX", min_size=1, max_size=6),
        ).map(lambda parts: "FREQ=YEARLY;" + ";".join(f"{name}={value}" for name, value in parts.items())),
    )
)
def test_any_text_is_a_rule_or_refused(text: str) -> None:
    for make in (CronRule, lambda text: CalendarRule(text, START)):
        try:
            rule = make(text)
        except InvalidInput:
            continue
        assert all(each > START for each in islice(rule.after(START), 3))

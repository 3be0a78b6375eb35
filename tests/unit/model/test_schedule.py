"""Which occurrences are fired, which are skipped, and what is next: decided without a database."""

from datetime import datetime, timedelta

import pytest

from tests.support.schedules import NOON, a_schedule
from workflow_engine.errors import InvalidInput
from workflow_engine.model.schedule import (
    CatchUp,
    Due,
    Overlap,
    Skipped,
    SkipReason,
    Timing,
    due_occurrences,
    options_of_every_run,
    options_of_occurrence,
    without_overlap,
)

MINUTE = timedelta(minutes=1)


def minutes(first: int, last: int) -> list[datetime]:
    """Return moments so many minutes after noon."""
    return [NOON + number * MINUTE for number in range(first, last + 1)]


def late(first: int, last: int) -> list[Skipped]:
    return [Skipped(first=NOON + first * MINUTE, last=NOON + last * MINUTE, reason=SkipReason.LATE)]


@pytest.mark.parametrize("policy", CatchUp)
@pytest.mark.parametrize("seconds", [0, 0.5, 59])
def test_what_is_due_in_time_is_fired_whatever_the_policy(policy: CatchUp, seconds: float) -> None:
    due = due_occurrences(a_schedule(catch_up=policy), NOON + timedelta(seconds=seconds), 100)

    assert due == Due(fire=[NOON], skipped=[], next_at=NOON + MINUTE)


@pytest.mark.parametrize(
    ("policy", "limit", "fire", "skipped", "next_minute"),
    [
        (CatchUp.ALL, 100, minutes(0, 9), [], 10),
        (CatchUp.ALL, 4, minutes(0, 3), [], 4),
        (CatchUp.LATEST, 100, minutes(9, 9), late(0, 8), 10),
        (CatchUp.LATEST, 1, minutes(9, 9), late(0, 8), 10),
        (CatchUp.NONE, 100, minutes(9, 9), late(0, 8), 10),
    ],
)
def test_what_was_missed_is_dealt_with_as_the_policy_says(
    policy: CatchUp, limit: int, fire: list[datetime], skipped: list[Skipped], next_minute: int
) -> None:
    now = NOON + 9 * MINUTE + timedelta(seconds=30)

    due = due_occurrences(a_schedule(catch_up=policy), now, limit)

    assert due == Due(fire=fire, skipped=skipped, next_at=NOON + next_minute * MINUTE)


def test_all_that_was_missed_is_skipped_where_nothing_of_it_is_recent() -> None:
    schedule = a_schedule(cron="0 12 * * *", catch_up=CatchUp.NONE)

    due = due_occurrences(schedule, NOON + timedelta(days=2, hours=1), 100)

    assert (list(due.fire), due.next_at) == ([], NOON + timedelta(days=3))
    assert due.skipped == [Skipped(first=NOON, last=NOON + timedelta(days=2), reason=SkipReason.LATE)]


@pytest.mark.parametrize("next_at", [None, NOON + MINUTE])
def test_nothing_is_due_before_its_time_or_while_it_is_paused(next_at: datetime | None) -> None:
    assert due_occurrences(a_schedule(next_at=next_at), NOON, 100) == Due(fire=(), skipped=(), next_at=next_at)


def test_without_room_it_stays_due() -> None:
    assert due_occurrences(a_schedule(), NOON, 0) == Due(fire=(), skipped=(), next_at=NOON)


def test_after_the_last_occurrence_there_is_none() -> None:
    ends = a_schedule(ends_at=NOON + MINUTE, catch_up=CatchUp.ALL)

    assert due_occurrences(ends, NOON + 9 * MINUTE, 100) == Due(fire=minutes(0, 1), skipped=[], next_at=None)


@pytest.mark.parametrize(
    ("overlap", "running", "fire", "skipped"),
    [
        (Overlap.ALLOW, True, minutes(0, 4), None),
        (Overlap.ALLOW, False, minutes(0, 4), None),
        (Overlap.SKIP, True, [], (0, 4)),
        (Overlap.SKIP, False, minutes(0, 0), (1, 4)),
        (Overlap.CANCEL_RUNNING, True, minutes(4, 4), (0, 3)),
        (Overlap.CANCEL_RUNNING, False, minutes(4, 4), (0, 3)),
    ],
)
def test_runs_that_may_not_overlap_are_left_out(
    overlap: Overlap, running: bool, fire: list[datetime], skipped: tuple[int, int] | None
) -> None:
    due = Due(fire=minutes(0, 4), skipped=[], next_at=NOON + 5 * MINUTE)

    left = without_overlap(due, overlap, running=running)

    assert (list(left.fire), left.next_at) == (fire, due.next_at)
    assert [(each.first, each.last, each.reason) for each in left.skipped] == (
        [] if skipped is None else [(*(NOON + number * MINUTE for number in skipped), SkipReason.OVERLAP)]
    )


def test_a_run_says_which_occurrence_it_is() -> None:
    schedule = a_schedule(options={"tags": ["x"], "metadata": {"a": 1}, "initiator": "ada"})

    options = options_of_occurrence(schedule, NOON)

    assert (options.scheduled_at, options.correlation_id) == (NOON, "tick:2026-01-31T12:00:00Z")
    assert (options.tags, options.metadata, options.initiator) == (("x",), {"a": 1, "schedule": "tick"}, "ada")
    assert options_of_occurrence(a_schedule(), NOON).initiator == "schedule tick"


@pytest.mark.parametrize("name", ["idempotency_key", "correlation_id", "due_at", "scheduled_at", "expires_at"])
def test_an_option_of_one_run_is_none_of_a_schedule(name: str) -> None:
    with pytest.raises(InvalidInput, match="belongs to one run") as caught:
        options_of_every_run(**{name: "x"})

    assert caught.value.field == name


def test_a_new_rule_takes_the_place_of_the_old_one() -> None:
    timing = Timing(cron="@daily")

    assert timing.changed({"rrule": "FREQ=DAILY"}) == Timing(rrule="FREQ=DAILY")
    assert timing.changed({"overlap": "skip"}) == Timing(cron="@daily", overlap=Overlap.SKIP)
    with pytest.raises(InvalidInput, match="colour"):
        timing.changed({"colour": "red"})

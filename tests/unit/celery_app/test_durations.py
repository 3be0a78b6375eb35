"""What is taken for short, and what is not."""

import pytest

from workflow_engine.celery_app.durations import Durations


def handler() -> None:
    pass


@pytest.fixture
def durations() -> Durations:
    return Durations()


def test_what_was_never_called_is_not_short(durations: Durations) -> None:
    assert not durations.is_short(handler)


@pytest.mark.parametrize(("seconds", "short"), [(0.0005, True), (0.004, True), (0.005, False), (60.0, False)])
def test_the_first_call_decides(durations: Durations, seconds: float, short: bool) -> None:
    durations.note(handler, seconds)

    assert durations.is_short(handler) == short


def test_one_call_that_took_long_among_short_ones_changes_nothing(durations: Durations) -> None:
    for _ in range(10):
        durations.note(handler, 0.0005)
    durations.note(handler, 60.0)

    assert durations.is_short(handler)


def test_two_in_a_row_do_until_short_ones_have_become_the_rule(durations: Durations) -> None:
    durations.note(handler, 0.0005)
    for _ in range(2):
        durations.note(handler, 60.0)
    assert not durations.is_short(handler)

    for _ in range(30):
        durations.note(handler, 0.0005)
    assert durations.is_short(handler)

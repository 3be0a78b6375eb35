"""Retry: its arithmetic, its bounds, and what the exception has to say."""

from collections.abc import Sequence
from datetime import timedelta
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workflow_engine import DefinitionError, InvalidInput, NonRetryable, Priority, Retry, RetryAfter

RANDOM = Random(7)


def delays(policy: Retry, error: BaseException, attempts: Sequence[int]) -> list[float | None]:
    """Return the delay in seconds after each of the attempts."""
    found = [policy.delay_after(error, attempt, RANDOM) for attempt in attempts]
    return [None if delay is None else delay.total_seconds() for delay in found]


def test_the_delay_grows_by_the_factor_up_to_the_cap_and_ends_with_the_last_attempt() -> None:
    policy = Retry(max_attempts=6, base_delay=2, factor=3, max_delay=50, jitter=False)

    assert delays(policy, ValueError(), range(1, 8)) == [2, 6, 18, 50, 50, None, None]


def test_one_attempt_is_never_tried_again() -> None:
    assert delays(Retry(max_attempts=1), ValueError(), [1]) == [None]


def test_a_delay_may_be_nothing() -> None:
    assert delays(Retry(base_delay=0), ValueError(), [1]) == [0]


@given(
    st.integers(1, 1000),
    st.floats(0, 86_400),
    st.floats(1, 100),
    st.floats(0, 30 * 86_400),
    st.integers(1, 999),
    st.integers(),
)
def test_jitter_draws_between_half_of_the_delay_and_all_of_it(
    max_attempts: int, base: float, factor: float, cap: float, attempt: int, seed: int
) -> None:
    options: dict[str, Any] = {
        "max_attempts": max_attempts, "base_delay": base, "factor": factor, "max_delay": cap
    }  # fmt: skip
    exact = Retry(**options, jitter=False).delay_after(ValueError(), attempt, Random(seed))
    drawn = Retry(**options).delay_after(ValueError(), attempt, Random(seed))

    assert (drawn is None) == (exact is None) == (attempt >= max_attempts)
    if drawn is not None and exact is not None:
        rounding = timedelta(microseconds=1)
        assert exact / 2 - rounding <= drawn <= exact + rounding
        assert drawn <= timedelta(seconds=cap) + rounding


def test_jitter_spreads() -> None:
    policy = Retry(base_delay=10)

    drawn = delays(policy, ValueError(), [1] * 1_000)

    assert 5 <= min(drawn) < 5.1  # type: ignore[type-var, operator]  # none of them is None
    assert 9.9 < max(drawn) <= 10  # type: ignore[type-var, operator]


def test_the_same_random_gives_the_same_delay() -> None:
    policy = Retry()

    assert policy.delay_after(ValueError(), 1, Random(3)) == policy.delay_after(ValueError(), 1, Random(3))


def test_retry_after_chooses_the_delay_within_the_attempts() -> None:
    policy = Retry(max_attempts=3, max_delay=1, retry_on=KeyError, give_up_on=RetryAfter)

    assert delays(policy, RetryAfter(90), [1, 2, 3]) == [90, 90, None]
    assert delays(policy, RetryAfter(timedelta(minutes=2)), [1]) == [120]


def test_non_retryable_fails_at_once_whatever_the_policy() -> None:
    assert delays(Retry(max_attempts=5, retry_on=NonRetryable), NonRetryable("no"), [1]) == [None]


@pytest.mark.parametrize(
    ("policy", "tried_again", "given_up"),
    [
        (Retry(retry_on=OSError), [OSError(), ConnectionError()], [ValueError(), Exception()]),
        (Retry(retry_on=[KeyError, OSError]), [KeyError(), TimeoutError()], [ValueError()]),
        (Retry(give_up_on=ValueError), [OSError(), Exception()], [ValueError(), UnicodeError()]),
        (Retry(retry_on=OSError, give_up_on=[TimeoutError]), [OSError()], [TimeoutError(), ValueError()]),
        (Retry(retry_on=()), [], [ValueError()]),
    ],
)
def test_the_exceptions_class_decides(policy: Retry, tried_again: list[Exception], given_up: list[Exception]) -> None:
    assert all(policy.delay_after(error, 1, RANDOM) is not None for error in tried_again)
    assert all(policy.delay_after(error, 1, RANDOM) is None for error in given_up)


def test_an_exception_outside_exception_is_given_up_unless_named() -> None:
    assert delays(Retry(), KeyboardInterrupt(), [1]) == [None]
    assert delays(Retry(retry_on=BaseException, jitter=False), KeyboardInterrupt(), [1]) == [1]


OUT_OF_RANGE = {
    "max_attempts": [0, -1, 1_001, 2.5, True, "3", None],
    "base_delay": [-0.1, 86_401, float("nan"), float("inf"), "1", None, True],
    "factor": [0.99, 0, 101, float("nan"), None],
    "max_delay": [-1, 30 * 86_400 + 1, float("inf"), None],
}


@pytest.mark.parametrize(
    ("option", "value"), [(option, value) for option, values in OUT_OF_RANGE.items() for value in values]
)
def test_a_number_out_of_range_is_named(option: str, value: Any) -> None:
    with pytest.raises(DefinitionError, match=f"Retry: {option} must be a"):
        Retry(**{option: value})


@pytest.mark.parametrize("option", ["retry_on", "give_up_on"])
@pytest.mark.parametrize("value", [ValueError(), "ValueError", 3, [ValueError, 3], int, None])
def test_only_exception_classes_are_taken(option: str, value: Any) -> None:
    with pytest.raises(DefinitionError, match=f"Retry: {option} must be exception classes"):
        Retry(**{option: value})


def test_priorities_are_ranked_as_the_database_orders_them() -> None:
    assert [(priority.value, priority.rank) for priority in Priority] == [
        ("low", 0),
        ("medium", 1),
        ("high", 2),
        ("critical", 3),
    ]


@pytest.mark.parametrize("delay", [-1, -0.001, float("-inf"), timedelta(days=-1), timedelta.min])
def test_a_moment_that_has_passed_means_now(delay: float | timedelta) -> None:
    assert RetryAfter(delay).delay == timedelta(0)


@pytest.mark.parametrize("delay", [float("nan"), float("inf"), 1e300, 367 * 86_400, timedelta.max])
def test_retry_after_refuses_a_delay_that_no_timer_can_keep(delay: float | timedelta) -> None:
    with pytest.raises(InvalidInput, match="delay: must be at most 366 days"):
        RetryAfter(delay)

"""Rates: a caller may ask in bursts, and in the long run so often a second."""

import pytest

from workflow_engine.api.rates import Rates
from workflow_engine.api.refusals import TooMany


class Time:
    """Monotonic time in the test's hands."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_a_burst_is_let_through_and_then_one_for_each_moment_of_the_rate() -> None:
    time = Time()
    rates = Rates(2, 3, clock=time)
    for _ in range(3):
        rates.take("ada")

    with pytest.raises(TooMany) as raised:
        rates.take("ada")
    assert raised.value.headers == {"Retry-After": "1"}

    time.now += 0.5
    rates.take("ada")
    with pytest.raises(TooMany):
        rates.take("ada")


def test_callers_do_not_count_for_each_other() -> None:
    rates = Rates(1, 1, clock=Time())

    rates.take("ada")
    rates.take("bob")
    with pytest.raises(TooMany):
        rates.take("ada")


def test_who_has_rested_has_a_burst_again_and_no_more() -> None:
    time = Time()
    rates = Rates(10, 2, clock=time)
    rates.take("ada")
    time.now += 3_600

    rates.take("ada")
    rates.take("ada")
    with pytest.raises(TooMany):
        rates.take("ada")


def test_a_slow_rate_says_how_long_to_wait() -> None:
    rates = Rates(0.1, 1, clock=Time())
    rates.take("ada")

    with pytest.raises(TooMany, match="try again in 10 s"):
        rates.take("ada")


def test_only_so_many_callers_are_remembered() -> None:
    rates = Rates(1, 1, clock=Time(), buckets_limit=100)
    for number in range(1_000):
        rates.take(str(number))

    assert len(rates._buckets) == 100
    with pytest.raises(TooMany):
        rates.take("999")
    rates.take("0")  # forgotten


def test_rate_0_is_any_number() -> None:
    rates = Rates(0, 1, clock=Time())

    for _ in range(1_000):
        rates.take("ada")
    assert not rates._buckets

"""How relays share subscribers, and when a failed delivery is tried again."""

from datetime import timedelta
from itertools import chain
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.relays import logged_event
from workflow_engine.model.commands import StepError
from workflow_engine.relay.backoff import after_failure, behind, delay
from workflow_engine.relay.sharing import by_preference, fair_share, surplus
from workflow_engine.store.deliveries import DeliveryState

ERROR = StepError(error_class="Boom", message="no")


@pytest.mark.parametrize(
    ("relays", "share"),
    [
        ({}, 0),
        ({"a": 1, "b": 1}, 2),
        ({"a": 2, "b": 2, "c": 2}, 2),
        ({"a": 3, "b": 3, "c": 3}, 1),
        ({"a": 1, "b": 2}, 2),
        ({"a": 0}, 1),
    ],
    ids=["none", "alone", "of two", "of three", "one known to both", "not yet seen"],
)
def test_a_relays_share_counts_what_others_could_take(relays: dict[str, int], share: int) -> None:
    assert fair_share(relays) == share


@given(st.lists(st.sets(st.sampled_from("abcdefgh"), min_size=1), min_size=1, max_size=5))
def test_shares_suffice_for_every_subscriber_whoever_knows_which(known: list[set[str]]) -> None:
    everyone = set(chain.from_iterable(known))
    relays = {name: sum(name in each for each in known) for name in everyone}

    shares = [fair_share({name: relays[name] for name in each}) for each in known]

    assert sum(shares) >= len(everyone)


def test_what_nobody_else_could_take_is_taken_first_and_given_back_last() -> None:
    relays = {"both": 2, "mine": 1, "all": 3}

    assert by_preference(relays) == ["mine", "both", "all"]
    assert surplus({"all", "both", "mine"}, relays) == ["all"]
    assert surplus({"mine"}, relays) == []


@given(st.integers(1, 50), st.integers())
def test_each_delay_is_four_times_the_last_give_or_take_a_fifth(tries: int, seed: int) -> None:
    middle = min(4.0 ** (tries - 1), 300.0)

    assert timedelta(seconds=middle * 0.8) <= delay(tries, Random(seed)) <= timedelta(seconds=middle * 1.2)


@pytest.mark.parametrize(
    ("tries", "state"), [(1, DeliveryState.PARKED), (2, DeliveryState.PARKED), (3, DeliveryState.DEAD)]
)
def test_an_event_is_dead_after_its_last_try(tries: int, state: DeliveryState) -> None:
    tried = after_failure(logged_event(1), ERROR, tries=tries, most_tries=3, random=Random(0))

    assert tried.state is state
    assert (tried.due_in is None) == (state is DeliveryState.DEAD)
    assert tried.error == ERROR


def test_an_event_that_waits_for_another_has_not_been_tried() -> None:
    waiting = behind(logged_event(1))

    assert (waiting.state, waiting.tries, waiting.due_in, waiting.error) == (DeliveryState.PARKED, 0, None, None)

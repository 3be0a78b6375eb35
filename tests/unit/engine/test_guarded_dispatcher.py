"""Behind a circuit: a broker that is away is asked seldom, with one step, and then by everybody at once."""

from collections.abc import Sequence
from datetime import timedelta

import pytest

from tests.support.recording import RecordingDispatcher
from workflow_engine.engine.circuit_breaker import CircuitBreaker, CircuitState
from workflow_engine.engine.dispatcher import Dispatch, NotDispatched
from workflow_engine.engine.guarded_dispatcher import GuardedDispatcher
from workflow_engine.ids import RunId


class Broker(RecordingDispatcher):
    """Counts how often it was asked; may take some of the steps only."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[int] = []
        self.room: int | None = None
        self.error: Exception | None = None

    def dispatch(self, steps: Sequence[Dispatch]) -> None:
        self.asked.append(len(steps))
        if self.error:
            raise self.error
        if self.room is not None and len(steps) > self.room:
            super().dispatch(steps[: self.room])
            raise NotDispatched(steps[self.room :], "it is full")
        super().dispatch(steps)


class Hand:
    """A clock that a test moves."""

    seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


def some(number: int) -> list[Dispatch]:
    """Return steps that differ by their positions."""
    return [
        Dispatch(
            plan_id=1,
            run_id=RunId("0"),
            position=position,
            attempt=1,
            workflow="w",
            step=f"s{position}",
            queue=None,
            priority=1,
            timeout=None,
            join=None,
            join_position=None,
        )
        for position in range(number)
    ]


@pytest.fixture
def hand() -> Hand:
    """The circuit's time."""
    return Hand()


@pytest.fixture
def broker() -> Broker:
    """What is behind the circuit."""
    return Broker()


@pytest.fixture
def guarded(broker: Broker, hand: Hand) -> GuardedDispatcher:
    """A dispatcher whose circuit opens at the second failure for a second."""
    return GuardedDispatcher(
        broker, CircuitBreaker("broker", failures=2, open_for=timedelta(seconds=1), monotonic=hand)
    )


def refused(guarded: GuardedDispatcher, number: int = 3) -> NotDispatched:
    with pytest.raises(NotDispatched) as raised:
        guarded.dispatch(some(number))
    return raised.value


def test_steps_go_through_while_the_broker_takes_them(guarded: GuardedDispatcher, broker: Broker) -> None:
    guarded.dispatch(some(3))

    assert (len(broker.sent), broker.asked) == (3, [3])
    assert guarded.is_idle(None)


def test_an_open_circuit_refuses_at_once_and_says_when_to_come_again(
    guarded: GuardedDispatcher, broker: Broker
) -> None:
    broker.is_down = True
    assert refused(guarded).retry_in == timedelta(seconds=1)
    assert refused(guarded).retry_in >= timedelta(seconds=1)

    error = refused(guarded)

    assert broker.asked == [3, 3]
    assert error.undelivered == some(3)
    assert timedelta(seconds=0.9) <= error.retry_in <= timedelta(seconds=1.2)
    assert "circuit of the broker is open" in error.reason
    assert not guarded.is_idle(None), "it is not asked"


def test_a_half_open_circuit_sends_one_step_and_then_the_others(
    guarded: GuardedDispatcher, broker: Broker, hand: Hand
) -> None:
    broker.is_down = True
    refused(guarded)
    refused(guarded)
    hand.seconds += 2
    assert refused(guarded, 5).undelivered == some(5)
    assert broker.asked[2:] == [1]
    assert guarded.circuit.state is CircuitState.OPEN

    broker.is_down = False
    hand.seconds += 3
    guarded.dispatch(some(5))

    assert broker.asked[3:] == [1, 4]
    assert [step.position for step in broker.sent] == [0, 1, 2, 3, 4]
    assert guarded.circuit.is_calm


def test_a_probe_of_one_step_is_one_message(guarded: GuardedDispatcher, broker: Broker, hand: Hand) -> None:
    broker.is_down = True
    refused(guarded)
    refused(guarded)
    broker.is_down, hand.seconds = False, 2.0

    guarded.dispatch(some(1))

    assert broker.asked[2:] == [1]


def test_what_a_broker_took_of_a_batch_is_not_said_to_be_left(guarded: GuardedDispatcher, broker: Broker) -> None:
    broker.room = 2

    assert [step.position for step in refused(guarded, 5).undelivered] == [2, 3, 4]


def test_after_a_probe_that_went_well_a_failure_leaves_the_rest_only(
    guarded: GuardedDispatcher, broker: Broker, hand: Hand
) -> None:
    broker.room = 1
    refused(guarded)
    refused(guarded)
    hand.seconds += 2
    broker.sent.clear()

    error = refused(guarded, 4)

    assert [step.position for step in broker.sent] == [0, 1]
    assert [step.position for step in error.undelivered] == [2, 3]
    assert guarded.circuit.state is CircuitState.CLOSED, "one failure since"


def test_an_error_that_is_not_the_brokers_absence_neither_opens_it_nor_blocks_the_next_probe(
    guarded: GuardedDispatcher, broker: Broker, hand: Hand
) -> None:
    broker.error = ValueError("no such queue")
    for _ in range(5):
        with pytest.raises(ValueError, match="no such queue"):
            guarded.dispatch(some(1))
    assert guarded.circuit.state is CircuitState.CLOSED

    broker.error, broker.is_down = None, True
    refused(guarded)
    refused(guarded)
    hand.seconds += 2
    broker.error = ValueError("no such queue")
    with pytest.raises(ValueError, match="no such queue"):
        guarded.dispatch(some(1))
    broker.error, broker.is_down = None, False
    guarded.dispatch(some(2))

    assert guarded.circuit.is_calm

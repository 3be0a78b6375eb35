"""A circuit opens after failures in a row, lets one try through after a while, and closes when that goes well."""

import logging
import os
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from random import Random
from threading import Barrier

import pytest

from workflow_engine.engine.circuit_breaker import CircuitBreaker, CircuitState
from workflow_engine.engine.circuit_gauges import circuit_gauges
from workflow_engine.metrics import instruments

CLOSED, HALF_OPEN, OPEN = CircuitState.CLOSED, CircuitState.HALF_OPEN, CircuitState.OPEN
JUST_OVER = 1.11
"""How much longer than it should be a circuit may be open, so that nobody comes in step."""


class Hand:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.seconds = 1000.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def hand() -> Hand:
    """The circuit's time."""
    return Hand()


@pytest.fixture
def circuit(hand: Hand) -> CircuitBreaker:
    """A circuit that opens at the third failure, for 1 s, then 2, 4, 5, 5."""
    return CircuitBreaker(
        "broker",
        failures=3,
        open_for=timedelta(seconds=1),
        longest=timedelta(seconds=5),
        monotonic=hand,
        random=Random(7),
    )


def fail(circuit: CircuitBreaker, times: int = 3) -> None:
    for _ in range(times):
        assert circuit.admit()
        circuit.failed("it is away")


def test_it_is_calm_until_something_fails(circuit: CircuitBreaker) -> None:
    assert (circuit.state, circuit.is_calm, circuit.admit()) == (CLOSED, True, True)
    assert circuit.wait() == timedelta()

    fail(circuit, 2)

    assert (circuit.state, circuit.is_calm, circuit.admit(), circuit.openings) == (CLOSED, False, True, 0)


def test_a_success_between_failures_begins_the_count_anew(circuit: CircuitBreaker) -> None:
    fail(circuit, 2)
    circuit.succeeded()
    assert circuit.is_calm
    fail(circuit, 2)

    assert circuit.state is CLOSED


def test_enough_failures_in_a_row_open_it_for_a_while(circuit: CircuitBreaker, hand: Hand) -> None:
    fail(circuit)

    assert (circuit.state, circuit.is_calm, circuit.openings) == (OPEN, False, 1)
    assert not circuit.admit()
    assert timedelta(seconds=0.9) <= circuit.wait() <= timedelta(seconds=1.2)
    hand.seconds += circuit.wait().total_seconds()
    assert circuit.admit()
    assert circuit.state is HALF_OPEN


def test_a_half_open_circuit_lets_one_try_through_at_a_time(circuit: CircuitBreaker, hand: Hand) -> None:
    fail(circuit)
    hand.seconds += JUST_OVER

    assert [circuit.admit() for _ in range(3)] == [True, False, False]
    assert timedelta(seconds=1) <= circuit.wait() <= timedelta(seconds=1.1)
    circuit.succeeded()

    assert (circuit.state, circuit.is_calm, circuit.admit(), circuit.wait()) == (CLOSED, True, True, timedelta())


def test_it_stays_open_for_longer_after_each_probe_that_fails_up_to_a_bound(
    circuit: CircuitBreaker, hand: Hand
) -> None:
    fail(circuit)
    for seconds in (1, 2, 4, 5, 5):
        hand.seconds += seconds * 0.89
        assert not circuit.admit()
        hand.seconds += seconds * (JUST_OVER - 0.89)
        fail(circuit, 1)

    assert circuit.openings == 6
    hand.seconds += 5 * JUST_OVER
    assert circuit.admit()
    circuit.succeeded()
    fail(circuit)
    assert circuit.wait() <= timedelta(seconds=1.2), "it begins anew"


def test_a_probe_that_is_never_heard_of_again_does_not_keep_others_from_trying(
    circuit: CircuitBreaker, hand: Hand
) -> None:
    fail(circuit)
    hand.seconds += JUST_OVER
    assert circuit.admit()

    hand.seconds += 29
    assert not circuit.admit()
    hand.seconds += 1
    assert circuit.admit()


def test_an_abandoned_probe_makes_room_for_the_next_one_at_once(circuit: CircuitBreaker, hand: Hand) -> None:
    circuit.abandoned()
    assert circuit.state is CLOSED
    fail(circuit)
    circuit.abandoned()
    assert not circuit.admit()
    hand.seconds += JUST_OVER
    assert circuit.admit()

    circuit.abandoned()

    assert circuit.state is HALF_OPEN
    assert [circuit.admit(), circuit.admit()] == [True, False]


def test_late_failures_do_not_prolong_it_and_a_late_success_closes_it(circuit: CircuitBreaker, hand: Hand) -> None:
    fail(circuit)
    for _ in range(10):
        circuit.failed("it began before")

    assert circuit.openings == 1
    hand.seconds += JUST_OVER
    assert circuit.admit()
    fail(circuit, 0)
    circuit.failed("the probe")
    circuit.succeeded()
    assert circuit.state is CLOSED


def test_each_change_of_state_is_told_once_and_is_one_line_in_the_log(
    circuit: CircuitBreaker, hand: Hand, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    seen: list[CircuitState] = []
    circuit.watch(seen.append)

    fail(circuit)
    circuit.admit()
    hand.seconds += JUST_OVER
    circuit.admit()
    circuit.admit()
    circuit.failed("still away")
    hand.seconds += 2 * JUST_OVER
    circuit.admit()
    circuit.succeeded()
    circuit.succeeded()

    assert seen == [OPEN, HALF_OPEN, OPEN, HALF_OPEN, CLOSED]
    lines = [record.message for record in caplog.records]
    assert len(lines) == 5
    assert lines[0].startswith("circuit broker: open for ")
    assert lines[0].endswith(" s after 3 failure(s): it is away")
    assert lines[1] == "circuit broker: half-open, trying once"
    assert "after 4 failure(s): still away" in lines[2]
    assert lines[4].startswith("circuit broker: closed again after 3.3")


def test_threads_open_it_once_and_one_of_them_probes(circuit: CircuitBreaker, hand: Hand) -> None:
    number = 16
    barrier = Barrier(number)

    def fail_together() -> None:
        barrier.wait()
        circuit.failed("it is away")

    def ask_together() -> bool:
        barrier.wait()
        return circuit.admit()

    with ThreadPoolExecutor(number) as threads:
        for each in [threads.submit(fail_together) for _ in range(number)]:
            each.result()
        assert circuit.openings == 1
        for seconds in (1, 2, 4, 5):
            hand.seconds += seconds * JUST_OVER
            answers = [each.result() for each in [threads.submit(ask_together) for _ in range(number)]]
            assert answers.count(True) == 1
            circuit.failed("the probe")

    assert circuit.openings == 5


def test_a_forked_process_begins_with_a_closed_circuit(circuit: CircuitBreaker) -> None:
    fail(circuit)
    with circuit._lock:  # as another thread of the parent may at the moment of the fork
        child = os.fork()
        if child == 0:
            os._exit(0 if circuit.admit() and circuit.is_calm and circuit.state is CLOSED else 1)

    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert circuit.state is OPEN


def test_gauges_show_state_and_openings(circuit: CircuitBreaker, hand: Hand) -> None:
    gauges = circuit_gauges([circuit, CircuitBreaker("other")])

    def shown() -> tuple[list[float], list[float]]:
        return tuple([value for value, _ in gauges[each]()] for each in instruments_of_circuits)  # type: ignore[return-value]

    instruments_of_circuits = (instruments.CIRCUIT_STATE, instruments.CIRCUIT_OPENINGS)
    assert shown() == ([0, 0], [0, 0])
    fail(circuit)
    assert shown() == ([2, 0], [1, 0])
    hand.seconds += JUST_OVER
    circuit.admit()
    assert shown() == ([1, 0], [1, 0])
    assert [labels for _, labels in gauges[instruments.CIRCUIT_STATE]()] == [
        {"circuit": "broker"},
        {"circuit": "other"},
    ]

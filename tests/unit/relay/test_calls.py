"""Calls of a subscriber's code: which are made, which fail, which are left behind."""

from collections.abc import Callable
from threading import Event as Flag
from threading import current_thread

import pytest

from tests.support.processes import wait_until
from workflow_engine import NonRetryable
from workflow_engine.model.events import MESSAGE_LIMIT
from workflow_engine.relay.calls import MOST_ABANDONED, Answer, Call, Caller, as_error

SOON = 0.05


def calls(*arguments: object, run_id: str | None = None) -> list[Call]:
    return [Call(argument=argument, run_id=run_id) for argument in arguments]


def raises_on(*bad: object) -> Callable[[object], None]:
    def function(argument: object) -> None:
        if argument in bad:
            raise ValueError(f"not {argument}")

    return function


def test_calls_are_made_in_order_in_one_thread_that_is_not_ours() -> None:
    made: list[tuple[object, str]] = []
    caller = Caller("slack", 5)

    for batch in (calls(1, 2), calls(3)):
        assert caller.each(lambda argument: made.append((argument, current_thread().name)), batch) == Answer(
            reached=len(batch)
        )
    caller.stop()

    assert made == [(1, "wfe-slack"), (2, "wfe-slack"), (3, "wfe-slack")]


def test_a_failure_does_not_stop_the_next_call_but_those_of_its_run() -> None:
    batch = [*calls("bad", "later", run_id="r"), *calls("other", run_id="s"), *calls("bad", "none")]

    answer = Caller("slack", 5).each(raises_on("bad"), batch)

    assert sorted(answer.failures) == [0, 3]
    assert answer.left_out == {1}
    assert (answer.failures[0].error_class, answer.failures[0].message) == ("ValueError", "not bad")
    assert answer.reached == 5


def test_calls_stop_where_they_are_told_to() -> None:
    made: list[object] = []

    answer = Caller("slack", 5).each(made.append, calls(1, 2, 3), lambda: len(made) < 2)

    assert made == [1, 2]
    assert answer.reached == 2


@pytest.mark.parametrize("error", [SystemExit(1), KeyboardInterrupt()], ids=["exit", "interrupt"])
def test_a_subscriber_that_ends_its_thread_has_failed_and_no_more(error: BaseException) -> None:
    def function(argument: object) -> None:
        if argument == "bad":
            raise error

    answer = Caller("slack", 5).each(function, calls("bad", "good"))

    assert [each.error_class for each in answer.failures.values()] == [type(error).__name__]
    assert answer.reached == 2


def test_a_call_that_takes_too_long_is_left_behind_and_the_rest_is_made() -> None:
    gate, made = Flag(), []

    def function(argument: object) -> None:
        if argument == "slow":
            gate.wait(60)
        made.append(argument)

    batch = [*calls("first"), *calls("slow", "behind it", run_id="r"), *calls("last")]
    answer = Caller("slack", SOON).each(function, batch)
    gate.set()

    assert answer.reached == 4
    assert answer.failures.keys() == {1}
    assert answer.failures[1].message == f"took longer than {SOON:g} s"
    assert answer.left_out == {2}
    assert made[:2] == ["first", "last"]


def test_what_a_late_call_says_is_not_heard() -> None:
    gate, ended = Flag(), Flag()

    def function(argument: object) -> None:
        if argument == "slow":
            gate.wait(60)
            ended.set()
            raise ValueError("too late")

    caller = Caller("slack", SOON)
    answer = caller.each(function, calls("slow", "next"))
    gate.set()
    ended.wait(60)

    assert list(answer.failures) == [0]
    assert caller.each(function, calls("more")) == Answer(reached=1)


def test_no_more_calls_are_made_while_too_many_hang_until_one_ends() -> None:
    gates = [Flag() for _ in range(MOST_ABANDONED)]
    caller = Caller("slack", SOON)

    answer = caller.each(lambda gate: gate.wait(60), [*calls(*gates), *calls(Flag())])
    exhausted = caller.is_exhausted
    gates[0].set()
    has_room = caller.wait_for_room(60)
    for gate in gates:
        gate.set()

    assert answer.reached == MOST_ABANDONED
    assert exhausted
    assert has_room


def test_calls_that_ended_late_make_room_for_others() -> None:
    gate, caller = Flag(), Caller("slack", SOON)
    caller.each(lambda _: gate.wait(60), calls(1, 2))

    gate.set()

    wait_until(lambda: caller._hanging == 0)


def test_an_errors_message_is_bounded_and_storable() -> None:
    error = as_error(ValueError("a\x00b" + "x" * MESSAGE_LIMIT))

    assert len(error.message) == MESSAGE_LIMIT
    assert "\x00" not in error.message


def test_half_a_surrogate_pair_as_in_a_bad_file_name_is_replaced() -> None:
    assert as_error(OSError("no such file: caf\udce9")).message == "no such file: caf?"


def test_an_exception_that_cannot_be_printed_is_a_failed_call_and_no_more() -> None:
    class Unprintable(Exception):
        def __str__(self) -> str:
            raise TypeError("nor this")

    def function(argument: object) -> None:
        if argument == "bad":
            raise Unprintable

    answer = Caller("slack", 5).each(function, calls("bad", "good"))

    assert answer.reached == 2
    assert answer.failures[0].message == "<Unprintable that cannot be printed>"


def test_what_another_try_would_not_change_is_told_apart() -> None:
    def refuse(number: int) -> None:
        raise NonRetryable("gone") if number % 2 else ConnectionError("away")

    caller = Caller("calls", timeout=5)
    answer = caller.each(refuse, [Call(argument=number) for number in range(4)])
    caller.stop()

    assert (sorted(answer.failures), answer.final) == ([0, 1, 2, 3], {1, 3})

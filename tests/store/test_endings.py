"""Failing, losing, stopping and cancelling: a run always ends, once, and nothing of it starts again."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest

from tests.support.processes import wait_until
from tests.support.recording import (
    A_CLAIM,
    RecordingDispatcher,
    claim,
    complete,
    event_names,
    fail,
    graph,
    key,
    lose,
    run_all,
    run_state,
    states,
    submit,
)
from workflow_engine.engine.dispatcher import Dispatch
from workflow_engine.engine.handlers.step import complete_ending_step
from workflow_engine.engine.processor import Processor
from workflow_engine.model.commands import CancelRun, CompleteStep, ProcessReadiness, StepAttempt, StopStep
from workflow_engine.store.transaction import Store

SOON = timedelta(0)


def test_a_failed_step_cancels_what_does_not_run_and_the_run_fails_when_the_rest_ends(
    processor: Processor, dispatcher: RecordingDispatcher, store: Store
) -> None:
    run_id = submit(processor, graph({"a": (), "b": (), "c": (), "d": ("a", "b", "c")}))
    bad, slow = dispatcher.take("a"), dispatcher.take("b")
    claim(processor, bad)
    claim(processor, slow)

    fail(processor, bad)
    assert states(store, run_id) == {"a": "failed", "b": "running", "c": "cancelled", "d": "cancelled"}
    assert run_state(store, run_id) == "running"

    complete(processor, slow)
    assert run_state(store, run_id) == "failed"
    assert claim(processor, dispatcher.take("c")) is None


def test_continue_finishes_every_other_branch_and_still_retries_there(
    processor: Processor, dispatcher: RecordingDispatcher, store: Store
) -> None:
    edges = {"a": (), "b": (), "after_a": ("a",), "after_b": ("b",), "both": ("after_a", "after_b")}
    run_id = submit(processor, graph(edges, on_failure="continue"))
    bad, other = dispatcher.take("a"), dispatcher.take("b")
    claim(processor, bad)
    fail(processor, bad)
    claim(processor, other)

    fail(processor, other, retry_in=SOON)
    processor.execute(ProcessReadiness(limit=10))
    run_all(processor, dispatcher)

    assert states(store, run_id) == {
        "a": "failed",
        "b": "succeeded",
        "after_a": "skipped",
        "after_b": "succeeded",
        "both": "skipped",
    }
    assert run_state(store, run_id) == "failed"


@pytest.mark.parametrize("policy", ["fail_fast", "continue"])
def test_a_run_always_ends_whatever_fails_while_others_complete(
    processor: Processor, dispatcher: RecordingDispatcher, store: Store, policy: str
) -> None:
    edges: dict[str, tuple[str, ...]] = {f"p{number}": () for number in range(8)} | {"end": ("p0", "p1")}
    runs = []
    for _ in range(15):
        run_id = submit(processor, graph(edges, on_failure=policy))
        runs.append(run_id)
        messages = [dispatcher.take(f"p{number}") for number in range(8)]
        for message in messages:
            claim(processor, message)
        with ThreadPoolExecutor(8) as threads:
            list(
                threads.map(
                    lambda message: (fail if message.position in (1, 5) else complete)(processor, message), messages
                )
            )
        run_all(processor, dispatcher)

    assert {run_state(store, run_id) for run_id in runs} == {"failed"}


def test_cancel_meets_completions_and_the_run_always_ends(
    processor: Processor, dispatcher: RecordingDispatcher, store: Store
) -> None:
    for _ in range(15):
        run_id = submit(processor, graph({"a": (), "b": (), "c": ("a", "b"), "d": ("c",)}))
        messages = [dispatcher.take("a"), dispatcher.take("b")]
        for message in messages:
            claim(processor, message)

        with ThreadPoolExecutor(3) as threads:
            threads.submit(processor.execute, CancelRun(run_id=run_id))
            list(threads.map(lambda message: complete(processor, message), messages))

        run_all(processor, dispatcher)
        assert run_state(store, run_id) == "cancelled"
        assert "dispatched" not in states(store, run_id).values()


def test_cancel_says_whether_there_was_something_to_cancel(
    processor: Processor, dispatcher: RecordingDispatcher
) -> None:
    run_id = submit(processor, graph({"a": ()}))
    assert processor.execute(CancelRun(run_id=run_id)) is True
    assert processor.execute(CancelRun(run_id=run_id)) is False
    assert claim(processor, dispatcher.take("a")) is None


def test_a_step_that_takes_its_worker_along_too_often_fails(
    processor: Processor, dispatcher: RecordingDispatcher, store: Store
) -> None:
    run_id = submit(processor, graph({"a": ()}))
    for _ in range(3):  # the processor's loss_limit is 2
        message = dispatcher.take("a")
        claim(processor, message)
        lose(processor, message)
        processor.execute(ProcessReadiness(limit=10))

    assert states(store, run_id) == {"a": "failed"}
    assert run_state(store, run_id) == "failed"


def test_a_handler_that_says_cancelled_in_a_run_that_is_not_has_failed(
    processor: Processor, dispatcher: RecordingDispatcher, store: Store
) -> None:
    run_id = submit(processor, graph({"a": (), "b": ("a",)}))
    message = dispatcher.take("a")
    claim(processor, message)

    processor.execute(StopStep(**key(message)))

    assert states(store, run_id) == {"a": "failed", "b": "cancelled"}
    assert run_state(store, run_id) == "failed"


@pytest.mark.parametrize("end", [lambda *at: fail(*at, retry_in=SOON), lose], ids=["retry", "lose"])
@pytest.mark.parametrize("how", ["fail", "cancel"])
def test_nothing_of_a_run_that_is_ending_starts_again(
    processor: Processor,
    dispatcher: RecordingDispatcher,
    store: Store,
    end: Callable[[Processor, Dispatch], None],
    how: str,
) -> None:
    run_id = submit(processor, graph({"a": (), "b": (), "c": ("a", "b")}))
    first, slow = dispatcher.take("a"), dispatcher.take("b")
    claim(processor, first)
    claim(processor, slow)
    if how == "fail":
        fail(processor, first)
    else:
        processor.execute(CancelRun(run_id=run_id))
        complete(processor, first)

    end(processor, slow)

    assert states(store, run_id)["b"] == "failed"
    assert run_state(store, run_id) == ("failed" if how == "fail" else "cancelled")


def test_the_first_failure_decides_what_a_run_failed_of(
    processor: Processor, dispatcher: RecordingDispatcher, store: Store
) -> None:
    run_id = submit(processor, graph({"a": (), "b": ()}))
    messages = [dispatcher.take("a"), dispatcher.take("b")]
    for message in messages:
        claim(processor, message)

    for message in messages[::-1]:
        fail(processor, message)

    with store.single() as tx:
        run = tx.views.find_run(run_id)
        events = tx.views.events_of(run_id)
    assert run is not None
    assert run.error == {"step": "b", "error_class": "Boom", "message": "no"}
    assert [event.data["step"] for event in events if event.name == "run.failed"] == ["b"]


def test_a_run_that_is_being_cancelled_does_not_fail(
    processor: Processor, dispatcher: RecordingDispatcher, store: Store
) -> None:
    run_id = submit(processor, graph({"a": (), "b": ("a",)}))
    message = dispatcher.take("a")
    claim(processor, message)
    processor.execute(CancelRun(run_id=run_id))
    assert run_state(store, run_id) == "cancelling"

    fail(processor, message)

    assert run_state(store, run_id) == "cancelled"
    with store.single() as tx:
        run = tx.views.find_run(run_id)
    assert run is not None
    assert run.error is None


def test_an_attempt_may_go_on_until_it_is_over_or_its_run_is_cancelled(
    processor: Processor, dispatcher: RecordingDispatcher
) -> None:
    run_id = submit(processor, graph({"a": (), "b": ()}))
    first, second = dispatcher.take("a"), dispatcher.take("b")
    attempt, other = StepAttempt(**key(first)), StepAttempt(**key(second))
    assert not processor.is_current(attempt)
    claim(processor, first)
    claim(processor, second)
    assert processor.is_current(attempt)
    lose(processor, first)
    processor.execute(ProcessReadiness(limit=10))
    claim(processor, dispatcher.take("a"))
    assert not processor.is_current(attempt)
    assert processor.is_current(other)

    processor.execute(CancelRun(run_id=run_id))

    assert not processor.is_current(other)


def test_a_failure_in_a_cancelled_run_lets_nothing_start_again(
    processor: Processor, dispatcher: RecordingDispatcher, store: Store
) -> None:
    run_id = submit(processor, graph({"a": (), "b": ()}, on_failure="continue"))
    first, second = dispatcher.take("a"), dispatcher.take("b")
    claim(processor, first)
    claim(processor, second)
    processor.execute(CancelRun(run_id=run_id))
    fail(processor, first)

    fail(processor, second, retry_in=SOON)

    assert states(store, run_id) == {"a": "failed", "b": "failed"}
    assert run_state(store, run_id) == "cancelled"


def test_cancelling_again_changes_nothing(processor: Processor, dispatcher: RecordingDispatcher, store: Store) -> None:
    run_id = submit(processor, graph({"a": ()}))
    claim(processor, dispatcher.take("a"))

    for _ in range(3):
        assert processor.execute(CancelRun(run_id=run_id)) is True

    assert run_state(store, run_id) == "cancelling"
    assert event_names(store, run_id)["run.cancelling", None] == 1


def test_two_last_steps_that_end_at_once_do_not_both_leave_it_to_the_other(
    processor: Processor, dispatcher: RecordingDispatcher, store: Store
) -> None:
    run_id = submit(processor, graph({"a": (), "b": (), "c": ()}))
    messages = [dispatcher.take(name) for name in "abc"]
    for message in messages:
        claim(processor, message)
    fail(processor, messages[2])

    with ThreadPoolExecutor(1) as thread:
        with store.transaction() as tx:  # the first has asked whether the run is over, and not committed yet
            command = CompleteStep(**key(messages[0]), result="1", seconds=0.1, claim=A_CLAIM)
            complete_ending_step(command, processor._scope(tx))
            second = thread.submit(complete, processor, messages[1])
            wait_until(lambda: second.done() or _somebody_waits(store), within=5)
        second.result(timeout=5)

    assert run_state(store, run_id) == "failed"


def _somebody_waits(store: Store) -> bool:
    with store.single() as tx:
        row = tx.connection.execute(
            "SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
        ).fetchone()
    return row is not None


def test_events_of_one_command_are_told_in_their_order(
    processor: Processor, dispatcher: RecordingDispatcher, store: Store
) -> None:
    run_id = submit(processor, graph({"a": (), "b": ("a",)}))
    processor.execute(CancelRun(run_id=run_id))

    with store.single() as tx:
        told = [(event.name, event.step) for event in tx.views.events_of(run_id)]
    assert told[-4:] == [
        ("run.cancelling", None),
        ("step.cancelled", "a"),
        ("step.cancelled", "b"),
        ("run.cancelled", None),
    ]

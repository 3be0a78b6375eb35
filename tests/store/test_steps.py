"""Claim, complete, fail, lose and release: each moves a step once, and only from where it may."""

from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from psycopg import Connection

from tests.support.processes import wait_until
from tests.support.recording import (
    RecordingDispatcher,
    claim,
    complete,
    fail,
    graph,
    key,
    lose,
    run_all,
    submit,
)
from workflow_engine.engine.dispatcher import Dispatch
from workflow_engine.engine.handlers.scope import Scope
from workflow_engine.engine.handlers.step import complete_ending_step
from workflow_engine.engine.processor import Processor
from workflow_engine.ids import RunId
from workflow_engine.model.commands import CancelRun, CompleteStep, DispatchReady, ReleaseSteps, StepAttempt, StopStep
from workflow_engine.store.database import Database
from workflow_engine.store.transaction import Store

DIAMOND = {"a": (), "b": ("a",), "c": ("a",), "d": ("b", "c")}
SOON = timedelta(0)


def states(store: Store, run_id: RunId) -> dict[str, str]:
    with store.single() as tx:
        return {step.name: step.state.value for step in tx.views.steps_of(run_id)}


def run_state(store: Store, run_id: RunId) -> str:
    with store.single() as tx:
        return str(tx.views.run_state(run_id))


def event_names(store: Store, run_id: RunId) -> Counter[tuple[str, str | None]]:
    with store.single() as tx:
        return Counter((event.name, event.step) for event in tx.views.events_of(run_id))


def test_a_diamond_runs_parents_before_children_and_succeeds(
    processor: Processor, dispatcher: RecordingDispatcher, store: Store
) -> None:
    run_id = submit(processor, graph(DIAMOND))

    order = run_all(processor, dispatcher)

    assert order == ["a", "b", "c", "d"]
    assert run_state(store, run_id) == "succeeded"
    assert set(event_names(store, run_id).values()) == {1}


def test_claim_complete_and_submit_are_one_statement_each(
    processor: Processor, dispatcher: RecordingDispatcher, count_statements: Callable[[], int]
) -> None:
    workflow = graph(DIAMOND)
    submit(processor, workflow)
    run_all(processor, dispatcher)  # the plan is known now
    count_statements()

    submit(processor, workflow)
    assert count_statements() == 1 + 2  # register looks the plan up; a client does that once
    message = dispatcher.take("a")
    claim(processor, message)
    assert count_statements() == 1
    complete(processor, message)
    assert count_statements() == 1


def test_only_one_of_two_workers_claims_an_attempt(processor: Processor, dispatcher: RecordingDispatcher) -> None:
    submit(processor, graph({"a": ()}))
    message = dispatcher.take("a")

    with ThreadPoolExecutor(8) as threads:
        claims = list(threads.map(lambda _: claim(processor, message), range(8)))

    assert sum(each is not None for each in claims) == 1


def test_a_completion_delivered_twice_counts_once(
    processor: Processor, dispatcher: RecordingDispatcher, store: Store
) -> None:
    run_id = submit(processor, graph(DIAMOND))
    first = dispatcher.take("a")
    claim(processor, first)

    complete(processor, first)
    complete(processor, first)

    assert event_names(store, run_id)["step.completed", "a"] == 1
    assert event_names(store, run_id)["step.dispatched", "b"] == 1


def test_a_repeated_message_sends_children_again_that_nobody_claimed(
    processor: Processor, dispatcher: RecordingDispatcher
) -> None:
    submit(processor, graph(DIAMOND))
    first = dispatcher.take("a")
    claim(processor, first)
    complete(processor, first)
    claim(processor, dispatcher.take("b"))
    dispatcher.sent.clear()  # the worker died before it could send c

    assert claim(processor, first) is None

    assert [message.step for message in dispatcher.sent] == ["c"]


def test_a_late_attempt_changes_nothing(processor: Processor, dispatcher: RecordingDispatcher, store: Store) -> None:
    run_id = submit(processor, graph({"a": ()}))
    old = dispatcher.take("a")
    claim(processor, old)
    lose(processor, old)
    processor.execute(DispatchReady(limit=10))
    new = dispatcher.take("a")
    assert (new.attempt, claim(processor, new) is not None) == (2, True)

    complete(processor, old)
    fail(processor, old)

    assert states(store, run_id) == {"a": "running"}


def test_the_message_of_an_earlier_attempt_claims_nothing_of_the_next(
    processor: Processor, dispatcher: RecordingDispatcher, store: Store
) -> None:
    run_id = submit(processor, graph({"a": ()}))
    old = dispatcher.take("a")
    claim(processor, old)
    fail(processor, old, retry_in=SOON)
    processor.execute(DispatchReady(limit=10))

    assert claim(processor, old) is None

    assert states(store, run_id) == {"a": "dispatched"}
    assert claim(processor, dispatcher.take("a")) is not None


@pytest.mark.parametrize("parents", [2, 10, 100])
def test_every_join_is_dispatched_once_under_concurrency(
    processor: Processor, dispatcher: RecordingDispatcher, store: Store, parents: int
) -> None:
    joins = 20 if parents < 100 else 4
    edges: dict[str, tuple[str, ...]] = {f"p{number}": () for number in range(parents)}
    edges |= {f"j{number}": tuple(f"p{parent}" for parent in range(parents)) for number in range(joins)}
    run_id = submit(processor, graph(edges))
    messages = list(dispatcher.sent)
    dispatcher.sent.clear()

    def deliver(message: object) -> None:
        claim(processor, message)  # type: ignore[arg-type]
        complete(processor, message)  # type: ignore[arg-type]
        complete(processor, message)  # type: ignore[arg-type]

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(deliver, messages))

    told = event_names(store, run_id)
    assert {told["step.dispatched", f"j{number}"] for number in range(joins)} == {1}
    assert {message.step for message in dispatcher.sent} == {f"j{number}" for number in range(joins)}


def test_a_retry_is_due_later_and_then_a_new_attempt(
    processor: Processor, dispatcher: RecordingDispatcher, store: Store
) -> None:
    run_id = submit(processor, graph({"a": ()}))
    first = dispatcher.take("a")
    claim(processor, first)

    fail(processor, first, retry_in=timedelta(hours=1))
    assert states(store, run_id) == {"a": "retrying"}
    assert processor.execute(DispatchReady(limit=10)) == 0

    with store.single() as tx:
        tx.connection.execute("UPDATE steps SET ready_at = now() WHERE state = 'retrying'")
    assert processor.execute(DispatchReady(limit=10)) == 1
    second = dispatcher.take("a")
    assert second.attempt == 2

    claim(processor, second)
    with store.single() as tx:
        (step,) = tx.views.steps_of(run_id)
    assert (step.state, step.error and step.error["message"]) == ("running", "no")
    complete(processor, second)
    with store.single() as tx:
        (step,) = tx.views.steps_of(run_id)
    assert (step.state, step.error) == ("succeeded", None)


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
    processor.execute(DispatchReady(limit=10))
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
        processor.execute(DispatchReady(limit=10))

    assert states(store, run_id) == {"a": "failed"}
    assert run_state(store, run_id) == "failed"


def test_what_the_broker_does_not_take_is_ready_again(
    processor: Processor, dispatcher: RecordingDispatcher, store: Store
) -> None:
    dispatcher.is_down = True
    run_id = submit(processor, graph({"a": ()}))
    assert states(store, run_id) == {"a": "ready"}

    dispatcher.is_down = False
    with store.single() as tx:
        tx.connection.execute("UPDATE steps SET ready_at = now()")
    processor.execute(DispatchReady(limit=10))

    assert dispatcher.take("a").attempt == 1  # the attempt that was never handed over did not happen


def test_a_claimed_step_cannot_be_released(processor: Processor, dispatcher: RecordingDispatcher, store: Store) -> None:
    run_id = submit(processor, graph({"a": ()}))
    message = dispatcher.take("a")
    claim(processor, message)

    processor.execute(ReleaseSteps(attempts=[StepAttempt(**key(message))], reason="x", retry_in=SOON))

    assert states(store, run_id) == {"a": "running"}


def test_two_coordinators_dispatch_each_due_step_once(
    processor: Processor, dispatcher: RecordingDispatcher, store: Store
) -> None:
    dispatcher.is_down = True
    for _ in range(40):
        submit(processor, graph({"a": ()}))
    dispatcher.is_down = False
    with store.single() as tx:
        tx.connection.execute("UPDATE steps SET ready_at = now()")

    with ThreadPoolExecutor(4) as threads:
        taken = list(threads.map(lambda _: processor.execute(DispatchReady(limit=15)), range(8)))

    assert sum(taken) == 40
    assert len({message.run_id for message in dispatcher.sent}) == 40


def test_stranded_steps_are_found_touched_and_not_found_again(
    processor: Processor, dispatcher: RecordingDispatcher, store: Store
) -> None:
    for _ in range(10):
        submit(processor, graph({"a": (), "b": ()}))
    claim(processor, dispatcher.take("a"))
    with store.single() as tx:
        tx.connection.execute("UPDATE steps SET dispatched_at = now() - interval '1 minute'")
        stranded = tx.steps.find_stranded(timedelta(seconds=30), 100)
        assert len(stranded) == 19
        tx.steps.touch_stranded(stranded)
        assert tx.steps.find_stranded(timedelta(seconds=30), 100) == []


def test_coordinators_that_touch_the_same_steps_never_wait_for_each_other(
    processor: Processor, dispatcher: RecordingDispatcher, store: Store
) -> None:
    submit(processor, graph({f"s{number}": () for number in range(200)}))
    attempts = [StepAttempt(**key(message)) for message in dispatcher.sent]

    def touch(number: int) -> None:
        with store.single() as tx:
            tx.steps.touch_stranded(attempts if number % 2 else attempts[::-1])

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(touch, range(60)))


def test_a_silent_workers_steps_are_found_and_a_living_ones_are_not(
    processor: Processor, dispatcher: RecordingDispatcher, store: Store
) -> None:
    submit(processor, graph({"a": (), "b": ()}))
    alive, dead = "11111111-1111-4111-8111-111111111111", "22222222-2222-4222-8222-222222222222"
    with store.single() as tx:
        tx.workers.beat(alive, "alive", 1)
    claim(processor, dispatcher.take("a"), alive)
    claim(processor, dispatcher.take("b"), dead)

    with store.single() as tx:
        lost = tx.steps.find_lost(timedelta(seconds=15), 10)
        held = tx.steps.find_held(alive, SOON)

    assert [attempt.position for attempt in lost] == [1]
    assert [name for name, _ in held] == ["a"]
    # What answers for the wait of a stranded message is its age.
    with store.single() as tx:
        assert tx.steps.find_stranded(timedelta(hours=1), 10) == []


def test_a_completion_reads_the_same_few_rows_though_it_was_planned_while_the_tables_were_small(
    processor: Processor, dispatcher: RecordingDispatcher, store: Store
) -> None:
    edges: dict[str, tuple[str, ...]] = {"a": (), "b": ("a",)}
    submit(processor, graph(edges))
    with store.single() as tx:
        tx.connection.execute("ANALYZE")
    database = Database(store.database.url, max_connections=1)
    processor = Processor(Store(database), dispatcher)
    run_all(processor, dispatcher)
    submit(processor, graph(edges | {f"x{number}": () for number in range(3_000)}))
    message = dispatcher.take("a")

    with database.connection() as connection:
        before = _rows_read(connection)
    claim(processor, message)
    complete(processor, message)
    with database.connection() as connection:
        after = _rows_read(connection)
    database.close()

    assert [message.step for message in dispatcher.sent][-1] == "b"
    assert after - before < 10


def _rows_read(connection: Connection[Any]) -> int:
    """Return the rows of ``steps`` that this connection has read and not yet reported."""
    row = connection.execute(
        "SELECT coalesce(seq_tup_read, 0) + coalesce(idx_tup_fetch, 0) AS read "
        "FROM pg_stat_xact_user_tables WHERE relname = 'steps'"
    ).fetchone()
    return int(row.read)


def test_hot_updates_stay_in_their_page(processor: Processor, dispatcher: RecordingDispatcher, store: Store) -> None:
    workflow = graph(DIAMOND)
    for _ in range(100):
        submit(processor, workflow)
    run_all(processor, dispatcher)

    with store.single() as tx:
        tx.connection.execute("SELECT pg_stat_force_next_flush()")
        row = tx.connection.execute(
            "SELECT n_tup_upd AS updated, n_tup_hot_upd AS hot FROM pg_stat_user_tables WHERE relname = 'steps'"
        ).fetchone()

    assert row.hot / row.updated > 0.6


def test_a_handler_that_says_cancelled_in_a_run_that_is_not_has_failed(
    processor: Processor, dispatcher: RecordingDispatcher, store: Store
) -> None:
    run_id = submit(processor, graph({"a": (), "b": ("a",)}))
    message = dispatcher.take("a")
    claim(processor, message)

    processor.execute(StopStep(**key(message)))

    assert states(store, run_id) == {"a": "failed", "b": "cancelled"}
    assert run_state(store, run_id) == "failed"


def test_what_is_sent_again_keeps_the_priority_of_its_run(
    processor: Processor, dispatcher: RecordingDispatcher
) -> None:
    submit(processor, graph(DIAMOND), priority=3)
    first = dispatcher.take("a")
    claim(processor, first)
    complete(processor, first)
    dispatcher.sent.clear()

    claim(processor, first)

    assert [(message.step, message.priority) for message in dispatcher.sent] == [("b", 3), ("c", 3)]


def test_due_steps_are_sent_most_urgent_first_and_equals_as_they_became_due(
    processor: Processor, dispatcher: RecordingDispatcher, store: Store
) -> None:
    dispatcher.is_down = True
    workflow = graph({"a": ()})
    runs = [submit(processor, workflow, priority=number % 2) for number in range(60)]
    dispatcher.is_down = False
    age = {run_id: (number * 37) % 60 for number, run_id in enumerate(runs)}
    with store.single() as tx:
        tx.connection.execute("ANALYZE")
        for run_id in runs:
            tx.connection.execute(
                "UPDATE steps SET ready_at = now() - make_interval(secs => %s) WHERE run_id = %s", [age[run_id], run_id]
            )

    processor.execute(DispatchReady(limit=100))

    sent = [(message.priority, age[message.run_id]) for message in dispatcher.sent]
    assert sent == sorted(sent, key=lambda each: (-each[0], -each[1]))
    assert len(sent) == 60


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
    processor.execute(DispatchReady(limit=10))
    claim(processor, dispatcher.take("a"))
    assert not processor.is_current(attempt)
    assert processor.is_current(other)

    processor.execute(CancelRun(run_id=run_id))

    assert not processor.is_current(other)


def test_giving_back_an_earlier_attempt_does_not_touch_the_next(
    processor: Processor, dispatcher: RecordingDispatcher, store: Store
) -> None:
    run_id = submit(processor, graph({"a": ()}))
    old = dispatcher.take("a")
    claim(processor, old)
    fail(processor, old, retry_in=SOON)
    processor.execute(DispatchReady(limit=10))

    processor.execute(ReleaseSteps(attempts=[StepAttempt(**key(old))], reason="late", retry_in=SOON))

    assert states(store, run_id) == {"a": "dispatched"}


def test_due_steps_that_somebody_holds_keep_no_coordinator_waiting(
    processor: Processor, dispatcher: RecordingDispatcher, store: Store
) -> None:
    dispatcher.is_down = True
    held, free = (submit(processor, graph({"a": ()})) for _ in range(2))
    dispatcher.is_down = False
    with store.single() as tx:
        tx.connection.execute("UPDATE steps SET ready_at = now()")

    with store.transaction() as tx:
        tx.steps.lock_unfinished(held)
        assert processor.execute(DispatchReady(limit=10)) == 1

    assert [message.run_id for message in dispatcher.sent] == [free]


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
            command = CompleteStep(**key(messages[0]), result="1", seconds=0.1)
            complete_ending_step(command, Scope(tx=tx, plans=processor._plans, loss_limit=1))
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

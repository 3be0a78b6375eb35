"""Retrying what failed: the run goes on as if nothing had happened, whoever does what meanwhile."""

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from datetime import datetime, timedelta
from types import SimpleNamespace
from typing import Any
from uuid import uuid4

import pytest
from billiard.exceptions import TimeLimitExceeded

from tests.support.histories import DatabaseRows, prove_every_run
from tests.support.processes import wait_until
from tests.support.recording import (
    RecordingDispatcher,
    claim,
    complete,
    event_names,
    fail,
    graph,
    lose,
    run_all,
    run_state,
    states,
    submit,
)
from workflow_engine import NotDead, Retry, RunNotFound, Workflow
from workflow_engine.celery_app.identity import WorkerIdentity
from workflow_engine.celery_app.messages import HEADER
from workflow_engine.celery_app.runtime import StepRuntime
from workflow_engine.definitions.registry import Registry
from workflow_engine.engine.dispatcher import Dispatch
from workflow_engine.engine.handlers.retrying import Retried, retry_steps
from workflow_engine.engine.processor import Processor
from workflow_engine.ids import RunId, new_run_id
from workflow_engine.model.commands import CancelRun, DiscardSteps, ProcessReadiness, RetrySteps
from workflow_engine.store.transaction import Store

NOW = timedelta(0)
DIAMOND = {"top": (), "left": ("top",), "right": ("top",), "bottom": ("left", "right")}
LEFT, RIGHT = 1, 2
both_policies = pytest.mark.parametrize("policy", ["fail_fast", "continue"])


def retry(processor: Processor, run_id: RunId, *positions: int) -> Retried:
    answer: Retried = processor.execute(RetrySteps(run_id=run_id, positions=positions, reason="mended", actor="ada"))
    return answer


def finish(processor: Processor, dispatcher: RecordingDispatcher) -> list[str]:
    """Dispatch and run whatever can run; return the steps in their order."""
    order: list[str] = []
    while processor.execute(ProcessReadiness(limit=100)).number or dispatcher.sent:
        order += run_all(processor, dispatcher)
    return order


def claimed(processor: Processor, dispatcher: RecordingDispatcher, *steps: str) -> list[Dispatch]:
    messages = [dispatcher.take(step) for step in steps]
    for message in messages:
        assert claim(processor, message) is not None
    return messages


@pytest.fixture
def rows(store: Store) -> Callable[..., list[Any]]:
    """Ask the database."""
    return DatabaseRows(store.database).rows


def broken_diamond(
    processor: Processor, dispatcher: RecordingDispatcher, policy: str = "fail_fast"
) -> tuple[RunId, Dispatch]:
    """Return a diamond whose left side has failed, and the message of that attempt; its right side has not begun."""
    run_id = submit(processor, graph(DIAMOND, on_failure=policy))
    (top,) = claimed(processor, dispatcher, "top")
    complete(processor, top)
    (left,) = claimed(processor, dispatcher, "left")
    fail(processor, left)
    return run_id, left


@both_policies
def test_a_retried_run_succeeds_and_its_join_is_dispatched_once(
    processor: Processor, dispatcher: RecordingDispatcher, store: Store, policy: str
) -> None:
    run_id, _ = broken_diamond(processor, dispatcher, policy)
    run_all(processor, dispatcher)
    assert run_state(store, run_id) == "failed"

    answer = retry(processor, run_id)

    assert run_state(store, run_id) == "running"
    assert answer.requeued == (["left", "right"] if policy == "fail_fast" else ["left"])
    assert answer.restored == ["bottom"]
    assert finish(processor, dispatcher)[-1] == "bottom"
    assert set(states(store, run_id).values()) == {"succeeded"}
    assert run_state(store, run_id) == "succeeded"
    assert event_names(store, run_id)["step.dispatched", "bottom"] == 1
    prove_every_run(store.database)


def test_a_retried_run_has_no_error_and_no_end_until_it_ends_again(
    processor: Processor, dispatcher: RecordingDispatcher, store: Store, rows: Callable[..., list[Any]]
) -> None:
    run_id, _ = broken_diamond(processor, dispatcher)

    retry(processor, run_id)

    (run,) = rows("SELECT error, finished_at, sinks_left, retried_at FROM runs WHERE id = %s", run_id)
    assert (run.error, run.finished_at, run.sinks_left) == (None, None, 1)
    settling = rows("SELECT settle, missing, finished_at FROM steps WHERE run_id = %s ORDER BY position", run_id)
    assert [(step.settle, step.missing) for step in settling[1:]] == [(0, 0), (0, 0), (0, 2)]
    processor.execute(ProcessReadiness(limit=10))
    (again,) = claimed(processor, dispatcher, "left")
    fail(processor, again)
    first, second = rows("SELECT data FROM events WHERE run_id = %s AND name = 'run.failed' ORDER BY id", run_id)
    assert first.data["retried_at"] is None
    assert datetime.fromisoformat(second.data["retried_at"]) == run.retried_at


def test_attempts_go_on_and_those_before_count_no_more(
    processor: Processor, dispatcher: RecordingDispatcher, store: Store, rows: Callable[..., list[Any]]
) -> None:
    run_id = submit(processor, graph({"a": ()}))
    (first,) = claimed(processor, dispatcher, "a")
    fail(processor, first, retry_in=NOW)
    processor.execute(ProcessReadiness(limit=1))
    (second,) = claimed(processor, dispatcher, "a")
    fail(processor, second)

    retry(processor, run_id)
    processor.execute(ProcessReadiness(limit=1))
    third = dispatcher.take("a")
    answer = claim(processor, third)

    assert third.attempt == 3
    assert answer is not None
    assert answer.claim.forgiven == 2
    assert processor.forgiven(third.as_attempt) == 2
    assert answer.claim.run_times.retried_at is not None
    fail(processor, third)
    (dead,) = rows("SELECT attempt, attempts FROM step_dead_letters WHERE state = 'dead'")
    assert (dead.attempt, dead.attempts) == (3, 1)


def test_an_attempt_whose_process_cannot_speak_is_tried_again_within_the_new_budget(
    processor: Processor, dispatcher: RecordingDispatcher, store: Store
) -> None:
    """As after a hard time limit: the worker's main process reports it, and has not seen the claim."""
    workflow = Workflow(f"mute_{uuid4().hex[:8]}")
    workflow.step(name="a", retry=Retry(max_attempts=2, base_delay=0))(lambda ctx: None)
    runtime = StepRuntime(processor, Registry([workflow]), WorkerIdentity(), store=store, result_limit=1_000)
    run_id = submit(processor, workflow)

    def time_out() -> str:
        processor.execute(ProcessReadiness(limit=1))
        (message,) = claimed(processor, dispatcher, "a")
        header = [message.plan_id, message.run_id, message.position, message.attempt]
        runtime.report(SimpleNamespace(**{HEADER: header}), TimeLimitExceeded(1))
        return states(store, run_id)["a"]

    assert [time_out(), time_out()] == ["retrying", "failed"]
    retry(processor, run_id)
    assert [time_out(), time_out()] == ["retrying", "failed"]


def test_a_step_may_be_lost_as_often_as_before_again(
    processor: Processor, dispatcher: RecordingDispatcher, store: Store
) -> None:
    run_id = submit(processor, graph({"a": ()}))
    for _ in range(3):  # more than the limit of 2
        (message,) = claimed(processor, dispatcher, "a")
        lose(processor, message)
        processor.execute(ProcessReadiness(limit=1))
    assert run_state(store, run_id) == "failed"

    retry(processor, run_id)
    processor.execute(ProcessReadiness(limit=1))
    (message,) = claimed(processor, dispatcher, "a")
    lose(processor, message)

    assert states(store, run_id) == {"a": "ready"}


def test_a_late_word_of_an_attempt_before_the_retry_changes_nothing(
    processor: Processor, dispatcher: RecordingDispatcher, store: Store
) -> None:
    run_id, late = broken_diamond(processor, dispatcher)
    retry(processor, run_id)
    processor.execute(ProcessReadiness(limit=10))
    before = states(store, run_id)

    complete(processor, late)
    fail(processor, late)
    lose(processor, late)

    assert claim(processor, late) is None
    assert states(store, run_id) == before


def test_what_succeeded_while_the_run_was_failing_is_counted(
    processor: Processor, dispatcher: RecordingDispatcher, store: Store
) -> None:
    run_id = submit(processor, graph(DIAMOND))
    (top,) = claimed(processor, dispatcher, "top")
    complete(processor, top)
    left, right = claimed(processor, dispatcher, "left", "right")
    fail(processor, left)
    complete(processor, right)
    assert run_state(store, run_id) == "failed"

    retry(processor, run_id)

    assert finish(processor, dispatcher) == ["left", "bottom"]
    prove_every_run(store.database)


@both_policies
def test_a_retry_of_one_of_two_failures_leaves_the_other_and_the_run_fails_again(
    processor: Processor, dispatcher: RecordingDispatcher, store: Store, policy: str, rows: Callable[..., list[Any]]
) -> None:
    edges = {"a": (), "b": (), "after_a": ("a",), "after_b": ("b",), "both": ("after_a", "after_b")}
    run_id = submit(processor, graph(edges, on_failure=policy))
    for message in claimed(processor, dispatcher, "a", "b"):
        fail(processor, message)
    assert run_state(store, run_id) == "failed"

    answer = retry(processor, run_id, 0)
    (run,) = rows("SELECT state, error FROM runs WHERE id = %s", run_id)

    assert (list(answer.requeued), list(answer.restored)) == (["a"], ["after_a"])
    assert (run.state, run.error["step"]) == ("running", "b")
    assert finish(processor, dispatcher) == ["a", "after_a"]
    assert run_state(store, run_id) == "failed"
    left = "cancelled" if policy == "fail_fast" else "skipped"
    assert states(store, run_id) == {
        "a": "succeeded",
        "b": "failed",
        "after_a": "succeeded",
        "after_b": left,
        "both": left,
    }

    retry(processor, run_id, 1)
    assert finish(processor, dispatcher) == ["b", "after_b", "both"]
    assert run_state(store, run_id) == "succeeded"
    assert event_names(store, run_id)["run.failed", None] == 2
    prove_every_run(store.database)


@both_policies
def test_a_run_that_has_not_ended_yet_is_retried_without_a_move_of_its_own(
    processor: Processor, dispatcher: RecordingDispatcher, store: Store, policy: str
) -> None:
    run_id = submit(processor, graph({"a": (), "b": (), "c": ("b",)}, on_failure=policy))
    bad, slow = claimed(processor, dispatcher, "a", "b")
    fail(processor, bad)

    retry(processor, run_id)
    complete(processor, slow)

    assert states(store, run_id) == {"a": "ready", "b": "succeeded", "c": "dispatched"}
    assert event_names(store, run_id)["run.retried", None] == 0
    assert sorted(finish(processor, dispatcher)) == ["a", "c"]
    assert run_state(store, run_id) == "succeeded"
    prove_every_run(store.database)


def test_what_fails_again_fails_its_run_again(
    processor: Processor, dispatcher: RecordingDispatcher, store: Store
) -> None:
    run_id, _ = broken_diamond(processor, dispatcher)

    for _ in range(3):
        retry(processor, run_id)
        processor.execute(ProcessReadiness(limit=10))
        (again,) = claimed(processor, dispatcher, "left")
        fail(processor, again)
        assert run_state(store, run_id) == "failed"

    assert event_names(store, run_id)["run.failed", None] == 4
    prove_every_run(store.database)


# What is refused


def has_succeeded(processor: Processor, dispatcher: RecordingDispatcher) -> RunId:
    run_id = submit(processor, graph(DIAMOND))
    run_all(processor, dispatcher)
    return run_id


def was_cancelled(processor: Processor, dispatcher: RecordingDispatcher) -> RunId:
    run_id = submit(processor, graph({"a": (), "left": (), "b": ()}, on_failure="continue"))
    bad, running = claimed(processor, dispatcher, "left", "b")
    fail(processor, bad)
    processor.execute(CancelRun(run_id=run_id))
    complete(processor, running)
    return run_id


def is_being_cancelled(processor: Processor, dispatcher: RecordingDispatcher) -> RunId:
    run_id = submit(processor, graph({"a": (), "left": ()}, on_failure="continue"))
    bad, _ = claimed(processor, dispatcher, "left", "a")
    fail(processor, bad)
    processor.execute(CancelRun(run_id=run_id))
    return run_id


def has_just_begun(processor: Processor, dispatcher: RecordingDispatcher) -> RunId:
    run_id = submit(processor, graph(DIAMOND))
    claimed(processor, dispatcher, "top")
    return run_id


def was_retried(processor: Processor, dispatcher: RecordingDispatcher) -> RunId:
    run_id, _ = broken_diamond(processor, dispatcher)
    retry(processor, run_id, LEFT)
    return run_id


def was_discarded(processor: Processor, dispatcher: RecordingDispatcher) -> RunId:
    run_id, _ = broken_diamond(processor, dispatcher)
    processor.execute(DiscardSteps(run_id=run_id, positions=[LEFT]))
    return run_id


@pytest.mark.parametrize(
    ("prepare", "subject", "state"),
    [
        (has_succeeded, "run", "succeeded"),
        (was_cancelled, "run", "cancelled"),
        (is_being_cancelled, "run", "cancelling"),
        (has_just_begun, "step 'left'", "waiting"),
        (was_retried, "step 'left'", "ready"),
        (was_discarded, "the dead letter", "discarded"),
    ],
)
def test_what_is_not_dead_is_refused_by_the_name_of_its_state(
    processor: Processor,
    dispatcher: RecordingDispatcher,
    store: Store,
    prepare: Callable[[Processor, RecordingDispatcher], RunId],
    subject: str,
    state: str,
) -> None:
    run_id = prepare(processor, dispatcher)
    before, told = states(store, run_id), event_names(store, run_id)

    with pytest.raises(NotDead, match=f"{subject}.* is not dead, but {state}") as refused:
        retry(processor, run_id, LEFT)

    assert refused.value.state == state
    assert (states(store, run_id), event_names(store, run_id)) == (before, told)


def test_a_run_or_step_that_is_not_there_is_refused(processor: Processor, dispatcher: RecordingDispatcher) -> None:
    with pytest.raises(RunNotFound):
        retry(processor, new_run_id())
    run_id, _ = broken_diamond(processor, dispatcher)
    with pytest.raises(NotDead, match="position 99"):
        retry(processor, run_id, 99)
    with pytest.raises(NotDead, match="no failed step"):
        processor.execute(DiscardSteps(run_id=run_id, positions=[RIGHT]))


def test_a_discarded_step_is_discarded_once_and_its_run_stays_as_it_is(
    processor: Processor, dispatcher: RecordingDispatcher, store: Store, rows: Callable[..., list[Any]]
) -> None:
    run_id, _ = broken_diamond(processor, dispatcher)

    number = processor.execute(DiscardSteps(run_id=run_id, positions=[LEFT], reason="by hand", actor="ada"))
    with pytest.raises(NotDead, match="discarded"):
        processor.execute(DiscardSteps(run_id=run_id, positions=[LEFT]))

    assert number == 1
    assert run_state(store, run_id) == "failed"
    assert event_names(store, run_id)["step.discarded", "left"] == 1
    (letter,) = rows("SELECT state, closed_by, reason, closed_at FROM step_dead_letters")
    assert (letter.state, letter.closed_by, letter.reason) == ("discarded", "ada", "by hand")
    assert letter.closed_at is not None
    prove_every_run(store.database)


def test_a_retry_of_the_whole_run_takes_back_what_was_discarded(
    processor: Processor, dispatcher: RecordingDispatcher, store: Store
) -> None:
    run_id = was_discarded(processor, dispatcher)

    retry(processor, run_id)
    finish(processor, dispatcher)

    assert run_state(store, run_id) == "succeeded"
    prove_every_run(store.database)


# What it costs


def test_a_retry_costs_the_same_statements_however_wide_the_run_is(
    processor: Processor, dispatcher: RecordingDispatcher, count_statements: Callable[[], int]
) -> None:
    costs = []
    for width in (2, 500):
        run_id = submit(processor, graph({"seed": (), **{f"part{number}": ("seed",) for number in range(width)}}))
        (seed,) = claimed(processor, dispatcher, "seed")
        fail(processor, seed)
        count_statements()
        assert len(retry(processor, run_id).restored) == width
        costs.append(count_statements())

    assert costs[0] == costs[1] == 9


# Races: what others do while a retry is under way


@contextmanager
def under_way(processor: Processor, store: Store, run_id: RunId) -> Iterator[None]:
    """Retry in a transaction that commits at the end of the block."""
    with store.transaction() as tx:
        retry_steps(RetrySteps(run_id=run_id), processor._scope(tx))
        yield


def meanwhile(store: Store, processor: Processor, run_id: RunId, act: Callable[[], object]) -> None:
    """Do something that has to wait for a retry which is under way, and let it go on when it waits."""
    waiting = "SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
    with ThreadPoolExecutor(1) as pool:
        with under_way(processor, store, run_id):
            future: Future[object] = pool.submit(act)
            wait_until(lambda: DatabaseRows(store.database).rows(waiting), why="it waits for the retry")
        future.result()


@both_policies
def test_a_step_that_completes_meanwhile_lets_go_of_what_was_restored(
    processor: Processor, dispatcher: RecordingDispatcher, store: Store, policy: str
) -> None:
    run_id = submit(processor, graph({"a": (), "b": (), "c": ("b",), "d": ("a", "b")}, on_failure=policy))
    bad, slow = claimed(processor, dispatcher, "a", "b")
    fail(processor, bad)

    meanwhile(store, processor, run_id, lambda: complete(processor, slow))

    assert states(store, run_id) == {"a": "ready", "b": "succeeded", "c": "dispatched", "d": "waiting"}
    assert sorted(finish(processor, dispatcher)) == ["a", "c", "d"]
    prove_every_run(store.database)


@both_policies
def test_a_step_that_fails_meanwhile_ends_what_was_restored(
    processor: Processor, dispatcher: RecordingDispatcher, store: Store, policy: str
) -> None:
    run_id = submit(processor, graph({"a": (), "b": (), "c": ("b",), "d": ("a", "b")}, on_failure=policy))
    bad, slow = claimed(processor, dispatcher, "a", "b")
    fail(processor, bad)

    meanwhile(store, processor, run_id, lambda: fail(processor, slow))
    finish(processor, dispatcher)

    assert run_state(store, run_id) == "failed"
    assert states(store, run_id)["b"] == "failed"
    prove_every_run(store.database)


@pytest.mark.parametrize("ends", ["fail", "lose"])
def test_a_step_that_may_be_tried_again_is_although_its_run_was_ending(
    processor: Processor, dispatcher: RecordingDispatcher, store: Store, ends: str
) -> None:
    run_id = submit(processor, graph({"a": (), "b": ()}))
    bad, slow = claimed(processor, dispatcher, "a", "b")
    fail(processor, bad)
    act = {"fail": lambda: fail(processor, slow, retry_in=NOW), "lose": lambda: lose(processor, slow)}[ends]

    meanwhile(store, processor, run_id, act)

    assert states(store, run_id) == {"a": "ready", "b": {"fail": "retrying", "lose": "ready"}[ends]}
    finish(processor, dispatcher)
    assert run_state(store, run_id) == "succeeded"
    prove_every_run(store.database)


def test_a_cancel_meanwhile_cancels_what_was_restored(
    processor: Processor, dispatcher: RecordingDispatcher, store: Store
) -> None:
    run_id, _ = broken_diamond(processor, dispatcher)

    meanwhile(store, processor, run_id, lambda: processor.execute(CancelRun(run_id=run_id)))

    assert run_state(store, run_id) == "cancelled"
    assert states(store, run_id) == {
        "top": "succeeded",
        "left": "cancelled",
        "right": "cancelled",
        "bottom": "cancelled",
    }
    prove_every_run(store.database)


def test_of_two_retries_at_once_one_wins(processor: Processor, dispatcher: RecordingDispatcher, store: Store) -> None:
    run_id, _ = broken_diamond(processor, dispatcher)

    with pytest.raises(NotDead, match=r"step 'left' .* is not dead, but ready"):
        meanwhile(store, processor, run_id, lambda: retry(processor, run_id, LEFT))

    assert event_names(store, run_id)["step.requeued", "left"] == 1
    finish(processor, dispatcher)
    prove_every_run(store.database)


def test_of_a_retry_and_a_discard_at_once_one_wins(
    processor: Processor, dispatcher: RecordingDispatcher, store: Store
) -> None:
    run_id, _ = broken_diamond(processor, dispatcher)

    with pytest.raises(NotDead, match="requeued"):
        meanwhile(store, processor, run_id, lambda: processor.execute(DiscardSteps(run_id=run_id, positions=[LEFT])))

    finish(processor, dispatcher)
    prove_every_run(store.database)


def test_whoever_does_what_at_once_every_run_ends(
    processor: Processor, dispatcher: RecordingDispatcher, store: Store
) -> None:
    """Many hands on few runs: fail, complete, retry, discard, cancel; nothing is stuck, nothing counted twice."""
    edges = {"a": (), "b": (), "c": (), "ab": ("a", "b"), "bc": ("b", "c"), "all": ("ab", "bc")}
    runs = [submit(processor, graph(edges, on_failure=policy)) for policy in ("fail_fast", "continue") * 6]
    for message in dispatcher.sent:
        claim(processor, message, str(uuid4()))
    at_hand = list(dispatcher.sent)

    def quietly(act: Callable[[], object]) -> None:
        try:
            act()
        except NotDead:
            return

    acts: list[Callable[[], object]] = []
    for number, message in enumerate(at_hand):
        acts.append(lambda m=message, n=number: fail(processor, m) if n % 3 == 0 else complete(processor, m))  # type: ignore[misc]
        acts += [lambda m=message: retry(processor, m.run_id)] * 2  # type: ignore[misc]
        if number % 9 == 0:
            acts.append(lambda m=message: processor.execute(CancelRun(run_id=m.run_id)))  # type: ignore[misc]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(quietly, acts))
    for run_id in runs:
        quietly(lambda run_id=run_id: retry(processor, run_id))  # type: ignore[misc]
    finish(processor, dispatcher)

    assert {run_state(store, run_id) for run_id in runs} <= {"succeeded", "cancelled"}
    prove_every_run(store.database)

"""Pause, resume, resolve, rerun, and cancels that wait no longer."""

from datetime import timedelta
from typing import Any

import pytest

from tests.support.histories import prove_every_run
from tests.support.recording import (
    RecordingDispatcher,
    claim,
    complete,
    event_names,
    fail,
    graph,
    run_all,
    run_state,
    states,
    submit,
)
from workflow_engine import IdempotencyConflict, RunEnded, StepNotFound, WrongState
from workflow_engine.client.handle import RunHandle
from workflow_engine.engine.processor import Processor
from workflow_engine.errors import InvalidInput, RunNotFound
from workflow_engine.ids import RunId, new_run_id
from workflow_engine.model.commands import CancelRun, FireTimers, ProcessReadiness
from workflow_engine.store.transaction import Store

DIAMOND = {"a": (), "b": ("a",), "c": ("a",), "d": ("b", "c")}


@pytest.fixture
def broker() -> RecordingDispatcher:
    return RecordingDispatcher()


@pytest.fixture
def processor(store: Store, broker: RecordingDispatcher) -> Processor:
    return Processor(store, broker)


def handle(store: Store, processor: Processor, run_id: RunId) -> RunHandle:
    return RunHandle(run_id, store, processor, input_limit=1_000)


def hand_out(processor: Processor) -> None:
    processor.execute(ProcessReadiness(limit=100))


def column(store: Store, run_id: RunId, name: str) -> Any:
    with store.single() as tx:
        (row,) = tx.connection.execute(f"SELECT {name} AS value FROM runs WHERE id = %s", [run_id]).fetchall()
    return row.value


# --- pause and resume


def test_nothing_of_a_paused_run_starts_and_what_runs_ends(
    store: Store, processor: Processor, broker: RecordingDispatcher
) -> None:
    run = handle(store, processor, submit(processor, graph(DIAMOND)))
    root = broker.take("a")
    claim(processor, root)

    assert run.pause("the bank is closed", actor="ada")
    complete(processor, root)
    hand_out(processor)

    assert not broker.sent
    assert states(store, run.id) == {"a": "succeeded", "b": "ready", "c": "ready", "d": "waiting"}
    assert run.state == "paused"

    assert run.resume(actor="ada")
    hand_out(processor)
    assert sorted(run_all(processor, broker)) == ["b", "c", "d"]
    assert run.state == "succeeded"
    prove_every_run(store.database)


def test_what_was_sent_and_not_claimed_comes_back_and_its_message_claims_nothing(
    store: Store, processor: Processor, broker: RecordingDispatcher
) -> None:
    run = handle(store, processor, submit(processor, graph({"only": ()})))
    run.pause()

    assert claim(processor, broker.take("only")) is None
    assert states(store, run.id) == {"only": "ready"}

    run.resume()
    assert run.state == "pending"  # nothing of it has started
    hand_out(processor)
    assert run_all(processor, broker) == ["only"]
    assert event_names(store, run.id)["run.started", None] == 1
    prove_every_run(store.database)


def test_pausing_and_resuming_twice_changes_nothing_more(store: Store, processor: Processor) -> None:
    run = handle(store, processor, submit(processor, graph({"only": ()})))

    assert [run.resume(), run.pause(), run.pause(), run.resume(), run.resume()] == [False, True, False, True, False]
    assert event_names(store, run.id)["run.paused", None] == 1
    assert event_names(store, run.id)["run.resumed", None] == 1


def test_the_last_steps_of_a_paused_run_end_it(store: Store, processor: Processor, broker: RecordingDispatcher) -> None:
    run = handle(store, processor, submit(processor, graph({"a": (), "b": ()})))
    messages = [broker.take("a"), broker.take("b")]
    for message in messages:
        claim(processor, message)
    run.pause()
    for message in messages:
        complete(processor, message)

    assert run.state == "succeeded"
    prove_every_run(store.database)


def test_a_run_that_is_paused_past_its_time_expires(
    store: Store, processor: Processor, broker: RecordingDispatcher
) -> None:
    options = {"expires_at": "2020-01-01T00:00:00Z"}
    unstarted = handle(store, processor, submit(processor, graph({"only": ()}), **options))
    started = handle(store, processor, submit(processor, graph({"first": ()}), **options))
    claim(processor, broker.take("first"))
    unstarted.pause()
    started.pause()

    processor.execute(FireTimers(limit=10))

    assert (unstarted.state, started.state) == ("expired", "paused")


@pytest.mark.parametrize("act", ["pause", "resume"])
def test_a_run_that_is_over_is_neither_paused_nor_resumed(
    store: Store, processor: Processor, broker: RecordingDispatcher, act: str
) -> None:
    run = handle(store, processor, submit(processor, graph({"only": ()})))
    run_all(processor, broker)

    with pytest.raises(RunEnded, match="succeeded"):
        getattr(run, act)()
    with pytest.raises(RunNotFound):
        getattr(handle(store, processor, new_run_id()), act)()


def test_a_failure_that_goes_on_is_paused_and_resumed_with_the_rest(
    store: Store, processor: Processor, broker: RecordingDispatcher
) -> None:
    run = handle(store, processor, submit(processor, graph({"a": (), "b": (), "c": ("b",)}, on_failure="continue")))
    broken, fine = broker.take("a"), broker.take("b")
    for message in (broken, fine):
        claim(processor, message)
    run.pause()
    fail(processor, broken)
    complete(processor, fine)
    assert states(store, run.id)["c"] == "ready"

    run.resume()
    hand_out(processor)
    assert run_all(processor, broker) == ["c"]
    assert run.state == "failed"

    retried = run.retry(reason="again", actor="ada")
    assert list(retried.requeued) == ["a"]
    hand_out(processor)
    run_all(processor, broker)
    assert run.state == "succeeded"
    prove_every_run(store.database)


def test_what_is_retried_of_a_paused_run_waits_for_its_resume(
    store: Store, processor: Processor, broker: RecordingDispatcher
) -> None:
    run = handle(store, processor, submit(processor, graph({"a": (), "b": ()}, on_failure="continue")))
    broken = broker.take("a")
    claim(processor, broken)
    claim(processor, broker.take("b"))
    fail(processor, broken)
    run.pause()
    run.retry(["a"])
    hand_out(processor)
    assert not broker.sent

    run.resume()
    hand_out(processor)
    assert run_all(processor, broker) == ["a"]
    assert run.retry().requeued == ()  # of a run that goes on, and nothing of which has failed


# --- resolve


@pytest.mark.parametrize("where", ["dispatched", "running", "retrying", "ready", "failed"])
def test_a_resolved_step_has_succeeded_wherever_it_stood(
    store: Store, processor: Processor, broker: RecordingDispatcher, where: str
) -> None:
    run = handle(store, processor, submit(processor, graph(DIAMOND)))
    root = broker.take("a")
    if where == "ready":
        run.pause()
    elif where != "dispatched":
        claim(processor, root)
        if where in {"retrying", "failed"}:
            fail(processor, root, timedelta(hours=1) if where == "retrying" else None)
    assert states(store, run.id)["a"] == where

    assert run.resolve("a", {"by": "hand"}, reason="charged by telephone", actor="ada")
    assert not run.resolve("a", {"by": "hand"}, reason="again")
    complete(processor, root)  # whoever held it is late
    if where == "ready":
        run.resume()
        hand_out(processor)

    assert sorted(run_all(processor, broker)) == ["b", "c", "d"]
    assert run.state == "succeeded"
    (step,) = [step for step in run.steps() if step.name == "a"]
    assert (step.result, step.error) == ({"by": "hand"}, None)
    assert event_names(store, run.id)["step.resolved", "a"] == 1
    prove_every_run(store.database)


def test_the_only_step_of_a_run_that_nobody_started_ends_it(store: Store, processor: Processor) -> None:
    run = handle(store, processor, submit(processor, graph({"only": ()})))

    run.resolve("only", 7, reason="known")

    assert (run.state, run.result) == ("succeeded", {"only": 7})
    prove_every_run(store.database)


def test_what_cannot_be_resolved_stays_as_it_is(
    store: Store, processor: Processor, broker: RecordingDispatcher
) -> None:
    run = handle(store, processor, submit(processor, graph(DIAMOND)))
    with pytest.raises(WrongState, match="waits for its parents"):
        run.resolve("d", 1, reason="no")
    with pytest.raises(StepNotFound, match="no step 'e'"):
        run.resolve("e", 1, reason="no")
    with pytest.raises(InvalidInput, match="reason"):
        run.resolve("a", 1, reason="")
    with pytest.raises(InvalidInput, match="result"):
        run.resolve("a", float("nan"), reason="no")
    root = broker.take("a")
    claim(processor, root)
    complete(processor, root, "1")
    with pytest.raises(WrongState, match="another result"):
        run.resolve("a", 2, reason="no")
    processor.execute(CancelRun(run_id=run.id))
    with pytest.raises(RunEnded, match="cancelled"):
        run.resolve("b", 2, reason="no")
    with pytest.raises(RunNotFound):
        handle(store, processor, new_run_id()).resolve("a", 1, reason="no")
    assert not [name for name, _ in event_names(store, run.id) if name == "step.resolved"]


# --- rerun


def test_a_rerun_does_a_step_and_what_comes_after_it_and_takes_over_the_rest(
    store: Store, processor: Processor, broker: RecordingDispatcher
) -> None:
    first = handle(store, processor, submit(processor, graph(DIAMOND), title="the title", tags=("x",)))
    for name, result in (("a", "1"), ("b", "2"), ("c", "3"), ("d", "4")):
        message = broker.take(name)
        claim(processor, message)
        complete(processor, message, result)

    again = first.rerun("c", reason="wrong rate", actor="ada")
    assert states(store, again.id) == {"a": "succeeded", "b": "succeeded", "c": "ready", "d": "waiting"}
    hand_out(processor)
    message = broker.take("c")
    claimed = claim(processor, message)
    assert claimed is not None
    assert claimed.results == {0: 1}
    complete(processor, message)
    assert run_all(processor, broker) == ["d"]

    record = again.record
    assert (again.created, record.state, record.title, record.initiator) == (True, "succeeded", "the title", "ada")
    assert str(column(store, again.id, "rerun_of")) == first.id
    assert event_names(store, again.id)["step.reused", "b"] == 1
    assert first.state == "succeeded"
    prove_every_run(store.database)


def test_a_rerun_of_a_failed_run_also_does_what_had_not_succeeded(
    store: Store, processor: Processor, broker: RecordingDispatcher
) -> None:
    first = handle(store, processor, submit(processor, graph(DIAMOND)))
    for name in ("a", "b"):
        message = broker.take(name)
        claim(processor, message)
        complete(processor, message)
    broken = broker.take("c")
    claim(processor, broken)
    fail(processor, broken)
    assert first.state == "failed"

    again = first.rerun("b")
    hand_out(processor)
    assert sorted(run_all(processor, broker)) == ["b", "c", "d"]
    assert again.state == "succeeded"


def test_the_same_key_gives_the_same_rerun(store: Store, processor: Processor, broker: RecordingDispatcher) -> None:
    first = handle(store, processor, submit(processor, graph(DIAMOND)))
    with pytest.raises(WrongState, match="only what has ended"):
        first.rerun("a")
    run_all(processor, broker)

    again, once_more = first.rerun("b", idempotency_key="k"), first.rerun("b", idempotency_key="k")
    assert (once_more.id, once_more.created) == (again.id, False)
    with pytest.raises(IdempotencyConflict):
        first.rerun("c", idempotency_key="k")


# --- cancel


def test_what_runs_on_after_its_grace_counts_as_cancelled(
    store: Store, processor: Processor, broker: RecordingDispatcher
) -> None:
    run = handle(store, processor, submit(processor, graph(DIAMOND)))
    root = broker.take("a")
    claim(processor, root)

    assert run.cancel("enough", grace=0)
    assert run.state == "cancelling"
    processor.execute(FireTimers(limit=10))

    assert run.state == "cancelled"
    complete(processor, root)
    assert states(store, run.id)["a"] == "cancelled"
    prove_every_run(store.database)


def test_who_cancels_a_second_time_may_be_less_patient(
    store: Store, processor: Processor, broker: RecordingDispatcher
) -> None:
    run = handle(store, processor, submit(processor, graph(DIAMOND)))
    claim(processor, broker.take("a"))
    run.cancel()
    processor.execute(FireTimers(limit=10))
    assert run.state == "cancelling"

    assert run.cancel(grace=0)
    processor.execute(FireTimers(limit=10))

    assert run.state == "cancelled"
    assert event_names(store, run.id)["run.cancelling", None] == 1
    prove_every_run(store.database)


def test_a_run_that_stops_within_its_grace_leaves_no_timer(
    store: Store, processor: Processor, broker: RecordingDispatcher
) -> None:
    run = handle(store, processor, submit(processor, graph(DIAMOND)))
    root = broker.take("a")
    claim(processor, root)
    run.cancel()
    complete(processor, root)

    assert run_state(store, run.id) == "cancelled"
    prove_every_run(store.database)  # which finds timers of what is over


@pytest.mark.parametrize("grace", [-1, 90_000, float("nan"), "soon", True])
def test_a_grace_that_makes_no_sense_is_refused(store: Store, processor: Processor, grace: Any) -> None:
    run = handle(store, processor, submit(processor, graph({"only": ()})))
    with pytest.raises(InvalidInput, match="grace"):
        run.cancel(grace=grace)
    assert run.state == "pending"

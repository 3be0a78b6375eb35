"""Retry, release, dispatch and rescue: due steps are handed out once, late messages move nothing."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from uuid import uuid4

from tests.support.recording import (
    RecordingDispatcher,
    claim,
    complete,
    fail,
    graph,
    key,
    states,
    submit,
)
from workflow_engine.engine.processor import Processor
from workflow_engine.ids import RunId
from workflow_engine.model.commands import ProcessReadiness, ReleaseSteps, StepAttempt
from workflow_engine.store.transaction import Store

DIAMOND = {"a": (), "b": ("a",), "c": ("a",), "d": ("b", "c")}
SOON = timedelta(0)


def test_a_retry_is_due_later_and_then_a_new_attempt(
    processor: Processor, dispatcher: RecordingDispatcher, store: Store
) -> None:
    run_id = submit(processor, graph({"a": ()}))
    first = dispatcher.take("a")
    claim(processor, first)

    fail(processor, first, retry_in=timedelta(hours=1))
    assert states(store, run_id) == {"a": "retrying"}
    assert processor.execute(ProcessReadiness(limit=10)).number == 0

    with store.single() as tx:
        tx.connection.execute("UPDATE steps SET ready_at = now() WHERE state = 'retrying'")
    assert processor.execute(ProcessReadiness(limit=10)).number == 1
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


def test_what_the_broker_does_not_take_is_ready_again(
    processor: Processor, dispatcher: RecordingDispatcher, store: Store
) -> None:
    dispatcher.is_down = True
    run_id = submit(processor, graph({"a": ()}))
    assert states(store, run_id) == {"a": "ready"}

    dispatcher.is_down = False
    with store.single() as tx:
        tx.connection.execute("UPDATE steps SET ready_at = now()")
    processor.execute(ProcessReadiness(limit=10))

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
        taken = list(threads.map(lambda _: processor.execute(ProcessReadiness(limit=15)), range(8)))

    assert sum(handed.number for handed in taken) == 40
    assert len({message.run_id for message in dispatcher.sent}) == 40


def test_a_worker_finds_what_it_has_held_for_a_while(
    processor: Processor, dispatcher: RecordingDispatcher, store: Store
) -> None:
    submit(processor, graph({"a": (), "b": ()}))
    claim(processor, dispatcher.take("a"), mine := str(uuid4()))
    claim(processor, dispatcher.take("b"), str(uuid4()))

    with store.single() as tx:
        assert [name for name, _ in tx.steps.find_held(mine, SOON)] == ["a"]
        assert tx.steps.find_held(mine, timedelta(seconds=5)) == []


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

    processor.execute(ProcessReadiness(limit=100))

    sent = [(message.priority, age[message.run_id]) for message in dispatcher.sent]
    assert sent == sorted(sent, key=lambda each: (-each[0], -each[1]))
    assert len(sent) == 60


def test_giving_back_an_earlier_attempt_does_not_touch_the_next(
    processor: Processor, dispatcher: RecordingDispatcher, store: Store
) -> None:
    run_id = submit(processor, graph({"a": ()}))
    old = dispatcher.take("a")
    claim(processor, old)
    fail(processor, old, retry_in=SOON)
    processor.execute(ProcessReadiness(limit=10))

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
        assert processor.execute(ProcessReadiness(limit=10)).number == 1

    assert [message.run_id for message in dispatcher.sent] == [free]


def aged(store: Store, ages: dict[RunId, float]) -> None:
    """Let the steps of runs have been ready for so many seconds."""
    with store.single() as tx:
        for run_id, seconds in ages.items():
            tx.connection.execute(
                "UPDATE steps SET ready_at = clock_timestamp() - make_interval(secs => %s) WHERE run_id = %s",
                [seconds, run_id],
            )


def submit_held_back(processor: Processor, dispatcher: RecordingDispatcher, *priorities: int) -> list[RunId]:
    """Store runs of a step each that the broker does not take yet."""
    dispatcher.is_down = True
    runs = [submit(processor, graph({"a": ()}), priority=priority) for priority in priorities]
    dispatcher.is_down = False
    return runs


def test_what_has_waited_is_handed_out_before_what_is_more_urgent_but_new(
    store: Store, dispatcher: RecordingDispatcher
) -> None:
    processor = Processor(store, dispatcher, aging=timedelta(seconds=60))
    old_low, new_high, new_low, ancient = submit_held_back(processor, dispatcher, 0, 2, 0, 1)
    aged(store, {old_low: 190, new_high: 10, new_low: 10, ancient: 3_600 * 24 * 365})

    for _ in range(4):  # a limit is in force: one at a time
        processor.execute(ProcessReadiness(limit=1))

    sent = [(message.run_id, message.priority) for message in dispatcher.sent]
    assert sent == [(ancient, 3), (old_low, 3), (new_high, 2), (new_low, 0)]
    with store.single() as tx:
        told = [event for event in tx.event_log.read(0, 100) if event.name == "step.dispatched"]
    assert [event.run_id for event in told if event.data["triggered_by"] == "step_ready"] == [run for run, _ in sent]


def test_a_low_step_is_not_overtaken_for_ever_by_a_stream_of_high_ones(
    store: Store, dispatcher: RecordingDispatcher
) -> None:
    processor = Processor(store, dispatcher, aging=timedelta(seconds=60))
    (low,) = submit_held_back(processor, dispatcher, 0)

    for minute in range(3):
        assert low not in {message.run_id for message in dispatcher.sent}
        (urgent,) = submit_held_back(processor, dispatcher, 2)
        aged(store, {low: 60 * minute + 1, urgent: 0.5})
        processor.execute(ProcessReadiness(limit=1))

    assert [message.run_id for message in dispatcher.sent][2] == low  # as urgent as they are by then, and older


def test_age_does_not_count_where_it_is_switched_off(store: Store, dispatcher: RecordingDispatcher) -> None:
    processor = Processor(store, dispatcher, aging=timedelta(0))
    old_low, new_high = submit_held_back(processor, dispatcher, 0, 2)
    aged(store, {old_low: 86_400, new_high: 1})

    processor.execute(ProcessReadiness(limit=10))

    assert [(each.run_id, each.priority) for each in dispatcher.sent] == [(new_high, 2), (old_low, 0)]

"""The workers' rows: what they say of themselves, what they hold, and when they are forgotten."""

from uuid import uuid4

from tests.support.recording import RecordingDispatcher, claim, graph, submit
from workflow_engine.engine.processor import Processor
from workflow_engine.model.workers import WorkerFacts
from workflow_engine.store.transaction import Store


def test_the_workers_are_listed_with_what_they_last_said_and_what_they_hold(
    store: Store, processor: Processor, dispatcher: RecordingDispatcher
) -> None:
    busy, idle = str(uuid4()), str(uuid4())
    with store.single() as tx:
        tx.workers.beat(busy, "busy@host", 17, WorkerFacts(queues=["a"], pool="threads", concurrency=4))
        tx.workers.beat(idle, "idle@host", 18)
        tx.workers.beat(busy, "busy@host", 17, WorkerFacts(queues=["b", "c"], pool="threads", concurrency=8))
        tx.connection.execute("UPDATE workers SET heartbeat_at = now() - interval '1 hour' WHERE id = %s", [idle])
    submit(processor, graph({"a": (), "b": (), "c": ()}))
    claim(processor, dispatcher.take("a"), busy)
    claim(processor, dispatcher.take("b"), busy)

    with store.single() as tx:
        first, second = tx.workers.page()

    assert (first.id, first.name, first.pid, first.steps_held) == (busy, "busy@host", 17, 2)
    assert (first.queues, first.pool, first.concurrency) == (["b", "c"], "threads", 8)
    assert 0 <= first.silent_seconds < 60
    assert (second.id, second.queues, second.pool, second.concurrency) == (idle, [], None, None)
    assert (second.steps_held, round(second.silent_seconds / 60)) == (0, 60)


def test_a_worker_is_heard_of_from_its_first_beat_until_it_says_goodbye(store: Store) -> None:
    worker = "33333333-3333-4333-8333-333333333333"
    with store.single() as tx:
        tx.workers.beat(worker, "one", 17)
        (first,) = tx.workers.page()
        tx.workers.beat(worker, "one", 17)
        (second,) = tx.workers.page()
        tx.workers.forget(worker)

        assert tx.workers.page() == []
    assert (first.name, first.pid, first.started_at) == (second.name, second.pid, second.started_at)
    assert first.heartbeat_at < second.heartbeat_at

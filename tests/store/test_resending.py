"""A step whose message is gone is sent again, a backlog never, each time after twice as long."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest

from tests.support.recording import RecordingDispatcher, claim, fail, go_on, graph, key, submit
from workflow_engine import Workflow
from workflow_engine.engine.processor import Processor
from workflow_engine.engine.resender import BATCH, ResendService
from workflow_engine.model.commands import ProcessReadiness
from workflow_engine.store.transaction import Store

AGE = timedelta(seconds=30)
NOW = timedelta(0)


class Queues(RecordingDispatcher):
    """A broker that says which of its queues are empty."""

    def __init__(self, *idle: str | None) -> None:
        super().__init__()
        self.idle = set(idle)

    def is_idle(self, queue: str | None) -> bool:
        return queue in self.idle


def on(store: Store, broker: Queues) -> tuple[Processor, ResendService]:
    """Return what dispatches to a broker, and what sends again."""
    processor = Processor(store, broker)
    return processor, ResendService(store, processor, broker, stranded_after=AGE)


def two(*queues: str | None) -> Workflow:
    """Return a workflow with a step for each queue."""
    workflow = graph({})
    for number, queue in enumerate(queues):
        workflow.step(name=f"s{number}", queue=queue)(lambda ctx: None)
    return workflow


def sent(store: Store, step: str, *, ago: float) -> None:
    """Make it so that a step was sent that many seconds ago."""
    with store.single() as tx:
        tx.connection.execute(
            "UPDATE steps SET dispatched_at = clock_timestamp() - make_interval(secs => %s) FROM runs, plan_steps "
            "WHERE runs.id = steps.run_id AND plan_steps.plan_id = runs.plan_id AND plan_steps.name = %s "
            "AND plan_steps.position = steps.position",
            [ago, step],
        )


def test_what_waited_for_long_in_an_empty_queue_is_sent_again_as_it_was(store: Store) -> None:
    broker = Queues("empty")
    processor, resend = on(store, broker)
    submit(processor, two("empty", "busy", "empty"), priority=2)
    first = {message.step: message for message in broker.sent}
    broker.sent.clear()
    for step, ago in {"s0": 40, "s1": 40, "s2": 20}.items():
        sent(store, step, ago=ago)

    pause = resend.run_once()

    assert [key(message) for message in broker.sent] == [key(first["s0"])]
    assert (broker.sent[0].priority, broker.sent[0].queue, resend.resent) == (2, "empty", 1)
    assert pause is not None
    assert timedelta(seconds=8) < pause <= timedelta(seconds=10)  # then s2 will have waited for long


def test_each_resend_doubles_the_time_until_the_next(store: Store) -> None:
    broker = Queues(None)
    processor, resend = on(store, broker)
    submit(processor, graph({"s": ()}))
    for patience in (30, 60, 120):
        broker.sent.clear()
        sent(store, "s", ago=patience - 5)
        resend.run_once()
        assert not broker.sent
        sent(store, "s", ago=patience + 1)
        resend.run_once()
        assert [message.attempt for message in broker.sent] == [1]


def test_the_next_attempt_has_the_patience_of_the_first(store: Store) -> None:
    broker = Queues(None)
    processor, resend = on(store, broker)
    submit(processor, graph({"s": ()}))
    for ago in (31, 61):
        sent(store, "s", ago=ago)
        resend.run_once()
    message = broker.take("s")
    claim(processor, message)
    fail(processor, message, retry_in=NOW)
    processor.execute(ProcessReadiness(limit=100))
    broker.sent.clear()

    sent(store, "s", ago=31)
    resend.run_once()

    assert [message.attempt for message in broker.sent] == [2]


@pytest.mark.parametrize(
    ("queue", "priority", "ago", "again"),
    [
        ("busy", 1, 50, ["s0"]),  # overtaken by what was sent more than 30 s later
        ("busy", 1, 75, []),  # that was sent only 15 s later: it may have been prefetched
        ("busy", 1, 150, []),  # that was sent before
        ("busy", 3, 50, []),  # more urgent: it overtakes by right
        ("other", 1, 50, []),
    ],
)
def test_in_a_busy_queue_only_what_was_overtaken_is_sent_again(
    store: Store, queue: str, priority: int, ago: float, again: list[str]
) -> None:
    broker = Queues()
    processor, resend = on(store, broker)
    submit(processor, two("busy", "busy"), priority=1)
    later = graph({})
    later.step(name="later", queue=queue)(lambda ctx: None)
    submit(processor, later, priority=priority)
    claim(processor, broker.take("later"))
    broker.sent.clear()
    for step, age in {"s0": 90, "s1": 10, "later": ago}.items():
        sent(store, step, ago=age)

    resend.run_once()

    assert [message.step for message in broker.sent] == again


@pytest.mark.parametrize("sibling", [False, True])
def test_what_a_worker_went_on_with_overtakes_nobody(store: Store, sibling: bool) -> None:
    """It was in no queue: that it was claimed a moment after it was free says nothing of those that wait in one."""
    broker = Queues()
    processor, resend = on(store, broker)
    submit(processor, two("busy", "busy"))
    submit(processor, graph({"first": (), "kept": ("first",), "sibling": ("first",)}, queue="busy"))
    message = broker.take("first")
    claim(processor, message)
    kept = go_on(processor, message, "kept")
    if sibling:
        go_on(processor, kept, "sibling")
    broker.sent.clear()
    for step, ago in {"s0": 90, "s1": 85, "first": 80, "kept": 5, "sibling": 5}.items():
        sent(store, step, ago=ago)

    resend.run_once()

    assert not broker.sent


def test_what_was_sent_again_overtakes_nobody(store: Store) -> None:
    """Its first message may have been claimed: it was sent before the others, though its row has a later time."""
    broker = Queues()
    processor, resend = on(store, broker)
    submit(processor, two("busy", "busy", "busy"))
    with store.single() as tx:
        tx.connection.execute("UPDATE steps SET resends = 1 WHERE position = 2")
    claim(processor, broker.take("s2"))
    broker.sent.clear()
    for step, ago in {"s0": 90, "s1": 85, "s2": 5}.items():
        sent(store, step, ago=ago)

    resend.run_once()

    assert not broker.sent


def test_a_backlog_that_is_merely_slow_is_sent_once(store: Store) -> None:
    broker = Queues()
    processor, resend = on(store, broker)
    names = {f"s{number:03}": () for number in range(200)}
    submit(processor, graph(names))
    for number, name in enumerate(names):
        sent(store, name, ago=1_000 - number)
    for name in [*names][:50]:
        claim(processor, broker.take(name))
    broker.sent.clear()

    pause = resend.run_once()

    assert not broker.sent
    assert pause is None  # all are old already: another look after a while


def test_all_that_an_empty_queue_has_lost_is_sent_again_at_once_and_by_one_of_two_coordinators(store: Store) -> None:
    broker = Queues(None)
    processor, _ = on(store, broker)
    submit(processor, graph({f"s{number}": () for number in range(BATCH + 10)}))
    broker.sent.clear()
    with store.single() as tx:
        tx.connection.execute("UPDATE steps SET dispatched_at = clock_timestamp() - interval '1 minute'")
    services = [ResendService(store, processor, broker, stranded_after=AGE) for _ in range(4)]

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(lambda service: service.run_once(), services))

    assert len({message.step for message in broker.sent}) == len(broker.sent) == BATCH + 10
    assert sum(service.resent for service in services) == BATCH + 10


def test_where_nothing_waits_it_sleeps(store: Store) -> None:
    _, resend = on(store, Queues(None))

    assert resend.run_once() is None

"""What triggers tell, who listens, and what follows: on real notifications."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import psycopg
import pytest

from tests.store.test_services import cut_listeners
from tests.support.processes import wait_until
from tests.support.recording import RecordingDispatcher, claim, complete, fail, graph, run_all, submit
from workflow_engine import compile_plan
from workflow_engine.engine.listener import ReadinessListener
from workflow_engine.engine.poller import FallbackPoller
from workflow_engine.engine.processor import Processor
from workflow_engine.engine.readiness import ReadinessService
from workflow_engine.engine.timekeeper import TimekeeperService
from workflow_engine.model.commands import CancelRun
from workflow_engine.model.readiness import ReadinessAction, ReadinessNotice, ReadinessRule
from workflow_engine.store.channels import NAMESPACES, READY, Notice, Subscription
from workflow_engine.store.transaction import Store

HOUR = timedelta(hours=1)


@contextmanager
def listening(
    store: Store, processor: Processor, **options: object
) -> Iterator[tuple[ReadinessListener, ReadinessService]]:
    """A listener and the readiness it tells, at work."""
    readiness = ReadinessService(processor)
    timekeeper = TimekeeperService(store, processor)
    listener = ReadinessListener(store, readiness, timekeeper, **options)  # type: ignore[arg-type]
    services = (readiness, timekeeper, listener)
    for service in services:
        service.start()
    try:
        wait_until(lambda: listeners(store), within=10, why="it listens")
        yield listener, readiness
    finally:
        for service in services:
            service.stop()


def listeners(store: Store) -> int:
    with psycopg.connect(store.database.url, autocommit=True) as connection:
        row = connection.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() "
            "AND (query LIKE 'LISTEN%' OR query LIKE '%clock_timestamp())::float8')"
        ).fetchone()
    return int(row[0]) if row else 0


def heard(subscription: Subscription) -> list[Notice]:
    """Everything notified so far, and whatever comes with it."""
    found = subscription.notices(5.0)
    while more := subscription.notices(0.05):
        found += more
    return found


def told(notices: list[Notice], channel: str = READY) -> list[ReadinessNotice]:
    parsed = [ReadinessNotice.parse(notice.payload) for notice in notices if notice.channel == channel]
    assert None not in parsed
    return [each for each in parsed if each is not None]


def test_a_fan_out_that_becomes_ready_is_one_notice_with_all_that_is_to_know(
    store: Store, processor: Processor
) -> None:
    with Subscription(store.database, READY, "wfe_ready.default") as subscription:
        run_id = submit(
            processor, graph({f"s{number}": () for number in range(50)}), scheduled_at=datetime.now(UTC), priority=2
        )
        notices = heard(subscription)

    (notice,) = told(notices)
    assert told(notices, "wfe_ready.default") == [notice]
    assert notice.sent_at is not None
    assert (notice.run_id, notice.namespace, notice.priority) == (run_id, "default", 2)
    assert (notice.ready_steps, notice.triggered_by, notice.run_state) == (50, "step_ready", "pending")
    assert (notice.step_id, notice.step_state) == (None, None)


def test_the_notice_of_a_single_step_names_it(
    store: Store, processor: Processor, dispatcher: RecordingDispatcher
) -> None:
    submit(processor, graph({"a": ()}))
    message = dispatcher.take("a")
    claim(processor, message)
    with Subscription(store.database, READY) as subscription:
        fail(processor, message, retry_in=timedelta(0))
        (notice,) = told(heard(subscription))

    assert (notice.ready_steps, notice.step_id, notice.step_state) == (1, "a", "retrying")


def test_the_hot_path_notifies_nobody(store: Store, processor: Processor, dispatcher: RecordingDispatcher) -> None:
    with Subscription(store.database, READY, NAMESPACES) as subscription:
        plan = compile_plan(graph({"a": (), "b": ("a",), "c": ("a",), "d": ("b", "c")}))
        processor.register(plan)
        assert [notice.channel for notice in heard(subscription)] == [NAMESPACES]
        submit(processor, graph({"a": (), "b": ("a",), "c": ("a",), "d": ("b", "c")}))
        assert run_all(processor, dispatcher) == ["a", "b", "c", "d"]

        assert subscription.notices(0.2) == []


def test_a_run_that_moves_outside_the_hot_path_is_told_of(
    store: Store, processor: Processor, dispatcher: RecordingDispatcher
) -> None:
    run_id = submit(processor, graph({"a": (), "b": ("a",)}))
    with Subscription(store.database, READY) as subscription:
        with store.single() as tx:
            tx.connection.execute("UPDATE runs SET state = 'running' WHERE id = %s", [run_id])
            tx.connection.execute("UPDATE runs SET state = 'paused' WHERE id = %s", [run_id])
            tx.connection.execute("UPDATE runs SET state = 'running' WHERE id = %s", [run_id])
        processor.execute(CancelRun(run_id=run_id))
        states = [(notice.triggered_by, notice.run_state) for notice in told(heard(subscription))]

    assert states == [
        ("run_state", "paused"),
        ("run_state", "running"),
        ("run_state", "cancelling"),
        ("run_state", "cancelled"),
    ]


@pytest.mark.parametrize("namespace", ["n" * 100, "x" * 53, "x" * 54])
def test_a_namespace_of_any_length_has_its_channel(store: Store, processor: Processor, namespace: str) -> None:
    workflow = graph({"a": ()}, namespace=namespace)
    processor.register(compile_plan(workflow))
    with store.single() as tx:
        channels = tx.plans.namespace_channels()
    with Subscription(store.database, *channels.values()) as subscription:
        submit(processor, workflow, scheduled_at=datetime.now(UTC))
        (notice,) = told(heard(subscription), channels[namespace])

    assert len(channels[namespace].encode()) <= 63
    assert notice.namespace == namespace


def test_a_payload_stays_below_what_a_notification_may_carry(store: Store) -> None:
    long = "ü" * 5_000
    with Subscription(store.database, READY) as subscription:
        with store.transaction() as tx:
            tx.connection.execute(
                "INSERT INTO plans (namespace, workflow, version, digest, definition) VALUES (%s, 'w', '1', '', '{}')",
                [long],
            )
            tx.connection.execute(
                "INSERT INTO runs (id, plan_id, namespace, workflow, version, state, input_digest, correlation_id, "
                "sinks_left) SELECT gen_random_uuid(), id, namespace, 'w', '1', 'pending', '', '', 1 FROM plans"
            )
            tx.connection.execute(
                "INSERT INTO steps (run_id, position, state, missing, ready_at) "
                "SELECT id, 0, 'ready', 0, now() FROM runs"
            )
        (notice,) = told(heard(subscription))

    assert notice.namespace is None
    assert notice.ready_steps == 1


def test_plain_sql_that_makes_a_step_ready_has_it_dispatched(
    store: Store, processor: Processor, dispatcher: RecordingDispatcher
) -> None:
    submit(processor, graph({"a": ()}), scheduled_at=datetime.now(UTC) + HOUR)
    with listening(store, processor):
        with store.single() as tx:
            tx.connection.execute("UPDATE steps SET ready_at = now()")
        wait_until(lambda: dispatcher.sent, within=10)

    assert [message.step for message in dispatcher.sent] == ["a"]


def test_a_timer_that_is_set_wakes_the_timekeeper(
    store: Store, processor: Processor, dispatcher: RecordingDispatcher
) -> None:
    with listening(store, processor):
        submit(processor, graph({"later": ()}), scheduled_at=datetime.now(UTC) + timedelta(minutes=1))
        submit(processor, graph({"sooner": ()}), scheduled_at=datetime.now(UTC) + timedelta(seconds=0.5))
        wait_until(lambda: dispatcher.sent, within=10)

    assert [message.step for message in dispatcher.sent] == ["sooner"]


def test_what_became_ready_while_the_connection_was_cut_is_dispatched_at_once(
    store: Store, processor: Processor, dispatcher: RecordingDispatcher
) -> None:
    with listening(store, processor):
        cut_listeners(store)
        submit(processor, graph({"a": ()}), scheduled_at=datetime.now(UTC))

        wait_until(lambda: dispatcher.sent, within=10)


def test_a_listener_of_some_namespaces_follows_those_that_appear_and_hears_no_other(
    store: Store, processor: Processor, dispatcher: RecordingDispatcher
) -> None:
    with listening(store, processor, namespaces=["team-*"]):
        submit(processor, graph({"other": ()}, namespace="else"), scheduled_at=datetime.now(UTC))
        submit(processor, graph({"first": ()}, namespace="team-a"), scheduled_at=datetime.now(UTC))
        wait_until(lambda: any(message.step == "first" for message in dispatcher.sent), within=10)
        dispatcher.sent.clear()
        workflow = graph({"second": ()}, namespace="team-a")
        submit(processor, workflow, scheduled_at=datetime.now(UTC))
        wait_until(lambda: dispatcher.sent, within=10)

    assert [message.step for message in dispatcher.sent] == ["second"]


def test_a_namespace_without_workflows_is_gone(store: Store, processor: Processor) -> None:
    processor.register(compile_plan(graph({"a": ()}, namespace="short")))
    with Subscription(store.database, NAMESPACES) as subscription, store.single() as tx:
        tx.connection.execute("DELETE FROM plans WHERE namespace = 'short'")

        assert [notice.payload for notice in heard(subscription)] == ["short"]
        assert "short" not in tx.plans.namespace_channels()


def test_a_rule_may_leave_a_namespace_to_the_poller(
    store: Store, processor: Processor, dispatcher: RecordingDispatcher
) -> None:
    rules = [ReadinessRule(namespace="slow", action=ReadinessAction.IGNORE)]
    with listening(store, processor, rules=rules) as (_, readiness):
        submit(processor, graph({"first": ()}), scheduled_at=datetime.now(UTC))
        wait_until(lambda: dispatcher.sent, within=10)  # by now it has caught up with what it did not hear
        dispatcher.sent.clear()
        submit(processor, graph({"slow": ()}, namespace="slow"), scheduled_at=datetime.now(UTC))
        submit(processor, graph({"quick": ()}), scheduled_at=datetime.now(UTC))
        wait_until(lambda: dispatcher.sent, within=10)
        assert [message.step for message in dispatcher.sent] == ["quick"]
        FallbackPoller(store, readiness, every=HOUR, age=timedelta(0), batch=10).run_once()
        wait_until(lambda: len(dispatcher.sent) == 2, within=10)


@pytest.mark.parametrize("payload", ["", "no json", "[]", "{}", json.dumps({"run_id": 1, "other": 2})])
def test_a_notice_of_somebody_else_costs_a_look_and_no_more(
    store: Store, processor: Processor, dispatcher: RecordingDispatcher, payload: str
) -> None:
    submit(processor, graph({"a": ()}), scheduled_at=datetime.now(UTC))
    readiness = ReadinessService(processor)
    listener = ReadinessListener(store, readiness, TimekeeperService(store, processor))

    listener._classify(Notice(READY, payload))
    readiness.run_once()

    assert [message.step for message in dispatcher.sent] == ["a"]


def test_the_poller_takes_what_was_overlooked_and_comes_back_for_what_will_have_been(
    store: Store, processor: Processor, dispatcher: RecordingDispatcher
) -> None:
    readiness = ReadinessService(processor)
    poller = FallbackPoller(store, readiness, every=HOUR, age=timedelta(seconds=30), batch=10)
    assert poller.run_once() is None
    submit(processor, graph({"old": ()}), scheduled_at=datetime.now(UTC) - timedelta(minutes=1))
    submit(processor, graph({"young": ()}), scheduled_at=datetime.now(UTC))

    pause = poller.run_once()
    readiness.run_once()

    assert [message.step for message in dispatcher.sent] == ["old"]
    assert pause is not None
    assert timedelta(seconds=20) < pause <= timedelta(seconds=30)


def test_a_look_of_the_poller_is_two_statements_whatever_there_is(
    store: Store, processor: Processor, count_statements: Callable[[], int]
) -> None:
    for number in range(20):
        submit(processor, graph({f"s{number}": ()}), scheduled_at=datetime.now(UTC) - HOUR)
    poller = FallbackPoller(store, ReadinessService(processor), every=HOUR, age=timedelta(seconds=1), batch=10)
    count_statements()

    poller.run_once()

    assert count_statements() == 2


def test_what_polling_finds_says_so(store: Store, processor: Processor, dispatcher: RecordingDispatcher) -> None:
    run_id = submit(processor, graph({"a": ()}), scheduled_at=datetime.now(UTC) - HOUR)
    readiness = ReadinessService(processor)
    FallbackPoller(store, readiness, every=HOUR, age=timedelta(seconds=1), batch=10).run_once()
    readiness.run_once()
    message = dispatcher.take("a")
    claim(processor, message)
    complete(processor, message)

    with store.single() as tx:
        (dispatched,) = [event for event in tx.views.events_of(run_id) if event.name == "step.dispatched"]
    assert dispatched.data["triggered_by"] == "fallback_polling"

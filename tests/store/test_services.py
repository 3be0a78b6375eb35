"""The coordinator's services on real rows: each runs once when asked, and a NOTIFY wakes the one that dispatches."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import psycopg
import pytest

from tests.support.processes import wait_until
from tests.support.recording import RecordingDispatcher, claim, graph, run_all, submit
from tests.support.wires import wire_to
from workflow_engine.engine.circuit_breaker import CircuitBreaker, CircuitState
from workflow_engine.engine.listener import Waker
from workflow_engine.engine.processor import Processor
from workflow_engine.engine.readiness import BATCH, RUNS_NAMED, ReadinessService
from workflow_engine.engine.rescuer import RescueService
from workflow_engine.engine.service import Service
from workflow_engine.errors import DatabaseUnavailable
from workflow_engine.ids import new_run_id
from workflow_engine.store.channels import EVENTS, Subscription
from workflow_engine.store.database import Database
from workflow_engine.store.transaction import Store

HOUR = timedelta(hours=1)


class Sleeper(Service):
    """Counts how often it is woken."""

    name = "sleeper"

    def __init__(self) -> None:
        super().__init__(HOUR)
        self.woken = 0

    def run_once(self) -> None:
        raise NotImplementedError

    def wake(self) -> None:
        self.woken += 1


@pytest.fixture
def readiness(processor: Processor) -> ReadinessService:
    return ReadinessService(processor)


def test_readiness_asks_the_database_nothing_unless_it_is_asked(
    readiness: ReadinessService, count_statements: Callable[[], int]
) -> None:
    count_statements()

    assert readiness.run_once() is None
    assert count_statements() == 0


def test_readiness_dispatches_everything_that_is_due_in_one_go(
    readiness: ReadinessService, processor: Processor, dispatcher: RecordingDispatcher
) -> None:
    number = BATCH + 5
    submit(processor, graph({f"s{place}": () for place in range(number)}), scheduled_at=datetime.now(UTC))

    readiness.ask("catch_up")
    readiness.run_once()

    assert len(dispatcher.sent) == number


def test_readiness_leaves_what_it_may_not_take(
    readiness: ReadinessService, processor: Processor, store: Store, dispatcher: RecordingDispatcher
) -> None:
    run_id = submit(processor, graph({"a": ()}), scheduled_at=datetime.now(UTC))
    with store.single() as tx:
        tx.connection.execute("UPDATE runs SET state = 'running' WHERE id = %s", [run_id])
        tx.connection.execute("UPDATE runs SET state = 'paused' WHERE id = %s", [run_id])

    readiness.ask("step_ready", run_id)
    readiness.run_once()

    assert not dispatcher.sent


def test_readiness_looks_only_at_the_runs_it_was_told_of(
    readiness: ReadinessService, processor: Processor, dispatcher: RecordingDispatcher
) -> None:
    submit(processor, graph({"a": ()}), scheduled_at=datetime.now(UTC))
    told_of = submit(processor, graph({"b": ()}), scheduled_at=datetime.now(UTC))

    readiness.ask("step_ready", told_of)
    readiness.run_once()

    assert [message.step for message in dispatcher.sent] == ["b"]


def test_with_many_runs_at_once_readiness_looks_at_all_that_is_ready(
    readiness: ReadinessService, processor: Processor, dispatcher: RecordingDispatcher
) -> None:
    submit(processor, graph({"a": ()}), scheduled_at=datetime.now(UTC))

    for _ in range(RUNS_NAMED + 1):
        readiness.ask("step_ready", new_run_id())
    readiness.run_once()

    assert [message.step for message in dispatcher.sent] == ["a"]


def test_what_readiness_could_not_do_it_does_when_the_database_is_back(
    processor: Processor, dispatcher: RecordingDispatcher
) -> None:
    run_id = submit(processor, graph({"a": ()}), scheduled_at=datetime.now(UTC))
    nowhere = Store(Database("postgresql://127.0.0.1:1/nothing", max_connections=1))
    readiness = ReadinessService(Processor(nowhere, dispatcher))
    readiness.ask("step_ready", run_id)
    with pytest.raises(DatabaseUnavailable):
        readiness.run_once()

    readiness._processor = processor
    readiness.run_once()

    assert [message.step for message in dispatcher.sent] == ["a"]


def test_rescue_gives_away_what_a_silent_worker_holds_and_it_runs_again(
    store: Store, processor: Processor, dispatcher: RecordingDispatcher, readiness: ReadinessService
) -> None:
    run_id = submit(processor, graph({"a": ()}))
    claim(processor, dispatcher.take("a"))

    RescueService(store, processor, lease=HOUR).run_once()
    readiness.ask("step_ready", run_id)
    readiness.run_once()

    assert [message.attempt for message in dispatcher.sent] == [2]
    run_all(processor, dispatcher)
    with store.single() as tx:
        assert tx.views.run_state(run_id) == "succeeded"


def test_a_listener_whose_connection_is_cut_listens_again(store: Store) -> None:
    sleeper = Sleeper()
    listener = Waker(store.database, [sleeper], channel=EVENTS)
    listener.start()
    try:
        wait_until(lambda: sleeper.woken == 1, within=10)
        cut_listeners(store)
        wait_until(lambda: sleeper.woken == 2, within=10, why="it listens again, and looks for what it missed")
    finally:
        listener.stop()


def test_a_listener_leaves_a_database_that_is_away_alone_for_longer_and_longer(store: Store) -> None:
    with wire_to(store.database.url) as first:
        port, url = first.port, first.url(store.database.url)
    circuit = CircuitBreaker("listener", failures=1, open_for=timedelta(seconds=0.05), longest=timedelta(seconds=0.2))
    sleeper, through = Sleeper(), Database(url, max_connections=1)
    listener = Waker(through, [sleeper], channel=EVENTS, circuit=circuit)
    waits = [listener.run_once()]
    for number in (2, 3, 4):
        wait_until(lambda number=number: waits.append(listener.run_once()) or circuit.openings == number)
    assert sleeper.woken == 0
    assert all(wait is not None and wait <= timedelta(seconds=0.3) for wait in waits)

    with wire_to(store.database.url, at=port):
        listener.start()
        try:
            wait_until(lambda: circuit.state is CircuitState.CLOSED, within=10, why="it listens")
            assert sleeper.woken == 1, "it has caught up"
        finally:
            listener.stop()
    through.close()


def test_what_goes_wrong_in_listening_beside_the_database_does_not_close_the_listener_out(store: Store) -> None:
    circuit = CircuitBreaker("listener", failures=1)
    listener = Waker(store.database, [], channel=EVENTS, circuit=circuit)
    circuit.failed("it was away")
    broken = iter([RuntimeError("a defect of ours")])

    def begin(subscription: Subscription) -> None:
        raise next(broken)

    listener.begin = begin  # type: ignore[method-assign]
    wait_until(lambda: circuit.wait() < timedelta(seconds=0.2), within=5)
    wait_until(circuit.admit)
    circuit.abandoned()

    with pytest.raises(RuntimeError, match="a defect of ours"):
        listener.run_once()

    assert circuit.admit(), "the next one may try"


def cut_listeners(store: Store) -> None:
    """End the connections that listen in this database."""
    with psycopg.connect(store.database.url, autocommit=True) as connection:
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE (query LIKE 'LISTEN%' OR query LIKE '%clock_timestamp())::float8') "
            "AND datname = current_database() AND pid <> pg_backend_pid()"
        )

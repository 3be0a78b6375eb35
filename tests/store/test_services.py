"""The coordinator's services on real rows: each runs once when asked, and a NOTIFY wakes the one that dispatches."""

from datetime import UTC, datetime, timedelta

import psycopg
import pytest

from tests.support.processes import wait_until
from tests.support.recording import RecordingDispatcher, claim, graph, run_all, submit
from workflow_engine.engine.listener import ListenerService
from workflow_engine.engine.processor import Processor
from workflow_engine.engine.readiness import BATCH, ReadinessService
from workflow_engine.engine.rescuer import RescueService
from workflow_engine.engine.service import Service
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
def readiness(store: Store, processor: Processor) -> ReadinessService:
    return ReadinessService(store, processor, poll_every=HOUR)


def test_readiness_sleeps_as_long_as_nothing_is_due(readiness: ReadinessService) -> None:
    assert readiness.run_once() is None


def test_readiness_sleeps_until_the_next_step_is_due(readiness: ReadinessService, processor: Processor) -> None:
    now = datetime.now(UTC)
    submit(processor, graph({"a": ()}), scheduled_at=now + timedelta(minutes=30))
    submit(processor, graph({"b": ()}), scheduled_at=now + timedelta(minutes=10))

    pause = readiness.run_once()

    assert pause is not None
    assert timedelta(minutes=9) < pause <= timedelta(minutes=10)


def test_readiness_dispatches_everything_that_is_due_in_one_go(
    readiness: ReadinessService, processor: Processor, dispatcher: RecordingDispatcher
) -> None:
    number = BATCH + 5
    submit(processor, graph({f"s{place}": () for place in range(number)}), scheduled_at=datetime.now(UTC))

    readiness.run_once()

    assert len(dispatcher.sent) == number


def test_readiness_does_not_spin_on_steps_it_may_not_take(
    readiness: ReadinessService, processor: Processor, store: Store
) -> None:
    run_id = submit(processor, graph({"a": ()}), scheduled_at=datetime.now(UTC))
    with store.single() as tx:
        tx.connection.execute("UPDATE runs SET state = 'running' WHERE id = %s", [run_id])
        tx.connection.execute("UPDATE runs SET state = 'paused' WHERE id = %s", [run_id])

    assert readiness.run_once() == timedelta(seconds=0.5)


def test_rescue_gives_away_what_a_silent_worker_holds_and_it_runs_again(
    store: Store, processor: Processor, dispatcher: RecordingDispatcher, readiness: ReadinessService
) -> None:
    run_id = submit(processor, graph({"a": ()}))
    claim(processor, dispatcher.take("a"))

    RescueService(store, processor, lease=HOUR).run_once()
    readiness.run_once()

    assert [message.attempt for message in dispatcher.sent] == [2]
    run_all(processor, dispatcher)
    with store.single() as tx:
        assert tx.views.run_state(run_id) == "succeeded"


def test_a_step_that_becomes_ready_wakes_whoever_listens(store: Store, processor: Processor) -> None:
    sleeper = Sleeper()
    listener = ListenerService(store.database, [sleeper])
    listener.start()
    try:
        wait_until(lambda: sleeper.woken == 1, within=10, why="it looks once when it begins to listen")
        submit(processor, graph({"a": ()}))  # dispatched by the submitter: nobody need be told
        submit(processor, graph({"b": ()}), scheduled_at=datetime.now(UTC))
        wait_until(lambda: sleeper.woken == 2, within=10, why="the trigger told of b")
    finally:
        listener.stop()


def test_a_listener_whose_connection_is_cut_listens_again(store: Store) -> None:
    sleeper = Sleeper()
    listener = ListenerService(store.database, [sleeper])
    listener.start()
    try:
        wait_until(lambda: sleeper.woken == 1, within=10)
        with psycopg.connect(store.database.url, autocommit=True) as connection:
            connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE query LIKE 'LISTEN%' AND datname = current_database()"
            )
        wait_until(lambda: sleeper.woken == 2, within=10, why="it listens again, and looks for what it missed")
    finally:
        listener.stop()

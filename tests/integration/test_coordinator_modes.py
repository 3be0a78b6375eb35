"""What a whole coordinator does in each deployment mode, and what it asks while nobody needs it."""

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from threading import Thread
from typing import Any

import psycopg
import pytest

from tests.support.processes import wait_until
from tests.support.recording import RecordingDispatcher, graph, run_all, submit
from workflow_engine import Engine, Settings
from workflow_engine.bootstrap.coordinator import Coordinator
from workflow_engine.engine.circuit_breaker import CircuitBreaker
from workflow_engine.engine.guarded_dispatcher import BROKER, GuardedDispatcher
from workflow_engine.engine.processor import Processor
from workflow_engine.store.transaction import Store

NEVER = 3_600.0


@contextmanager
def coordinating(
    store: Store, processor: Processor, dispatcher: RecordingDispatcher, mode: str, every: float = NEVER
) -> Iterator[Coordinator]:
    """A coordinator at work in this process, whose steps go to ``dispatcher``."""
    orchestration = {
        "deployment": {"mode": mode},
        "fallback_poller": {"fallback_polling_interval_seconds": every, "age_threshold_seconds": 0},
    }
    engine = Engine(
        Settings(database_url=store.database.url, broker_url="memory://", orchestration=orchestration),
        application_name="the coordinator",
    )
    engine.processor = processor
    engine.dispatcher = GuardedDispatcher(dispatcher, CircuitBreaker(BROKER))
    coordinator = Coordinator(engine, "celery")
    supervisor = coordinator.supervisor()
    thread = Thread(target=supervisor.run, daemon=True)
    thread.start()
    try:
        wait_until(lambda: coordinator.leader.is_leading, within=20)
        yield coordinator
    finally:
        supervisor.stop()
        thread.join(20)
        engine.close()


def listens(store: Store) -> bool:
    """Whether the coordinator has a connection that listens."""
    with store.single() as tx:
        row = tx.connection.execute(
            "SELECT count(*) AS number FROM pg_stat_activity WHERE datname = current_database() "
            "AND application_name = 'the coordinator' AND (query LIKE 'LISTEN%' OR query LIKE '%::float8')"
        ).fetchone()
    return bool(row and row.number)


def drop_notices(store: Store) -> None:
    """Let nobody be told of what becomes ready."""
    with store.single() as tx:
        tx.connection.execute("ALTER TABLE steps DISABLE TRIGGER steps_ready_inserted")


@pytest.fixture(autouse=True)
def _notices_again(store: Store) -> Iterator[None]:
    yield
    with store.single() as tx:
        tx.connection.execute("ALTER TABLE steps ENABLE TRIGGER steps_ready_inserted")


@pytest.mark.parametrize("mode", ["EventDrivenOnly", "Hybrid"])
def test_a_coordinator_that_listens_is_told(
    store: Store, processor: Processor, dispatcher: RecordingDispatcher, mode: str
) -> None:
    with coordinating(store, processor, dispatcher, mode):
        wait_until(lambda: listens(store), within=10)
        submit(processor, graph({"a": ()}), scheduled_at=datetime.now(UTC))
        submit(processor, graph({"b": ()}), scheduled_at=datetime.now(UTC) + timedelta(seconds=0.3))

        wait_until(lambda: len(dispatcher.sent) == 2, within=10)


@pytest.mark.parametrize("mode", ["Hybrid", "PollingOnly"])
def test_a_coordinator_that_polls_finds_what_nobody_told_it_of(
    store: Store, processor: Processor, dispatcher: RecordingDispatcher, mode: str
) -> None:
    drop_notices(store)
    with coordinating(store, processor, dispatcher, mode, every=0.5):
        submit(processor, graph({"a": ()}), scheduled_at=datetime.now(UTC))

        wait_until(lambda: dispatcher.sent, within=10)


def test_without_polling_what_nobody_was_told_of_waits(
    store: Store, processor: Processor, dispatcher: RecordingDispatcher
) -> None:
    drop_notices(store)
    with coordinating(store, processor, dispatcher, "EventDrivenOnly", every=0.1) as coordinator:
        wait_until(lambda: listens(store), within=10)
        submit(processor, graph({"a": ()}), scheduled_at=datetime.now(UTC))
        assert "fallback poller" not in {service.name for service in coordinator._services}
        store_notices(store)
        submit(processor, graph({"b": ()}), scheduled_at=datetime.now(UTC))
        wait_until(lambda: dispatcher.sent, within=10)

    assert [message.step for message in dispatcher.sent] == ["b"]


def store_notices(store: Store) -> None:
    """Let notices be told again."""
    with store.single() as tx:
        tx.connection.execute("ALTER TABLE steps ENABLE TRIGGER steps_ready_inserted")


def test_polling_alone_listens_to_nothing(store: Store, processor: Processor, dispatcher: RecordingDispatcher) -> None:
    with coordinating(store, processor, dispatcher, "PollingOnly") as coordinator:
        assert "listener" not in {service.name for service in coordinator._services}
        assert not listens(store)


def test_timers_fire_without_notices_too(store: Store, processor: Processor, dispatcher: RecordingDispatcher) -> None:
    with coordinating(store, processor, dispatcher, "PollingOnly", every=0.2):
        submit(processor, graph({"a": ()}), scheduled_at=datetime.now(UTC) + timedelta(seconds=0.3))

        wait_until(lambda: dispatcher.sent, within=10)


def test_while_steps_flow_a_coordinator_asks_nothing_but_says_that_it_leads(
    store: Store, processor: Processor, dispatcher: RecordingDispatcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: Counter[str] = Counter()
    execute = psycopg.Cursor.execute

    def noted(self: Any, query: Any, *args: Any, **options: Any) -> Any:
        if self.connection.info.get_parameters().get("application_name") == "the coordinator":
            asked[query.decode().split(" */", 1)[0] if isinstance(query, bytes) else str(query)] += 1
        return execute(self, query, *args, **options)

    with coordinating(store, processor, dispatcher, "Hybrid"):
        wait_until(lambda: listens(store), within=10)
        monkeypatch.setattr(psycopg.Cursor, "execute", noted)
        wait_until(has_beaten(asked, 1), within=10)
        asked.clear()
        workflow = graph({"a": (), "b": ("a",), "c": ("a",), "d": ("b", "c")})
        for _ in range(20):
            submit(processor, workflow)
            assert len(run_all(processor, dispatcher)) == 4
        wait_until(has_beaten(asked, 3), within=10)
        monkeypatch.undo()

    assert set(asked) <= {"/* record_leader"}


def has_beaten(asked: Counter[str], times: int) -> Callable[[], bool]:
    return lambda: asked["/* record_leader"] >= times

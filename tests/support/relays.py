"""Relays for tests: in this process, with subscribers that record, and events to deliver."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from threading import Condition
from typing import Any
from uuid import uuid4

import psycopg

from tests.support.processes import wait_until
from workflow_engine.ids import RunId
from workflow_engine.model.records import EventRecord
from workflow_engine.relay.registry import Subscription
from workflow_engine.relay.relay import Relay
from workflow_engine.relay.subscriber import Subscriber
from workflow_engine.store.database import Database
from workflow_engine.store.transaction import Store

NAMES = frozenset({"run.started", "run.succeeded", "run.failed", "run.cancelling"})
QUICK_LEASE = timedelta(seconds=1.5)


class Recorder(Subscriber):
    """Keeps what it gets; ``reaction`` may raise or wait."""

    name = "recorder"
    subscribe_to = ("run.*",)
    start = "beginning"

    def __init__(self, name: str = "recorder", reaction: Callable[[EventRecord], object] | None = None) -> None:
        super().__init__()
        self.name = name  # type: ignore[misc]  # one class for many cursors
        self.reaction = reaction
        self.calls: list[EventRecord] = []
        self.got: list[EventRecord] = []
        self.changed = Condition()

    def on_event(self, event: EventRecord) -> None:
        self.calls.append(event)
        if self.reaction is not None:
            self.reaction(event)
        self.got.append(event)

    @property
    def positions(self) -> list[int]:
        """The places in the log of what it took."""
        return [event.position or 0 for event in self.got]

    def called(self, position: int) -> int:
        """How often it was called with the event of a place."""
        return sum(event.position == position for event in self.calls)


class BatchRecorder(Recorder):
    """The same by batches."""

    name = "batches"

    def __init__(self, name: str = "batches", reaction: Callable[[EventRecord], object] | None = None) -> None:
        super().__init__(name, reaction)
        self.batches: list[list[int]] = []

    def on_batch(self, events: Sequence[EventRecord]) -> None:
        self.batches.append([event.position or 0 for event in events])
        if self.reaction is not None:
            for event in events:
                self.reaction(event)
        self.got.extend(events)


def subscription(subscriber: Subscriber, names: frozenset[str] = NAMES) -> Subscription:
    """Return a subscription to some events."""
    return Subscription(subscriber=subscriber, names=names)


class Raises:
    """A reaction: fail on events of some places, some times or always."""

    def __init__(self, times: Mapping[int, int] | None = None, *, always: Sequence[int] = ()) -> None:
        self._times = dict(times or {})
        self._always = always

    def __call__(self, event: EventRecord) -> None:
        place = event.position or 0
        if place in self._always:
            raise ConnectionError(f"no answer about {place}")
        if self._times.get(place, 0) > 0:
            self._times[place] -= 1
            raise ConnectionError(f"no answer about {place}")


@contextmanager
def running(
    database_url: str,
    *subscribers: Subscriber | Subscription,
    lease: timedelta = QUICK_LEASE,
    poll_seconds: float = 3_600.0,
) -> Iterator[Relay]:
    """Run a relay with connections of its own, but without a listener: tests ring, or do not."""
    database = Database(database_url, max_connections=4, application_name="test relay")
    relay = Relay(
        Store(database),
        [each if isinstance(each, Subscription) else subscription(each) for each in subscribers],
        lease=lease,
        poll_seconds=poll_seconds,
    )
    relay.start()
    try:
        yield relay
    finally:
        relay.stop()
        database.close()


def append(
    store: Store, number: int = 1, *, run_id: RunId | str | None = None, name: str = "run.started", data: str = "{}"
) -> list[int]:
    """Append events in one transaction; return their places in the log."""
    with store.single() as tx:
        return append_within(tx.connection, number, run_id=run_id, name=name, data=data)


def append_within(
    connection: psycopg.Connection[Any],
    number: int = 1,
    *,
    run_id: RunId | str | None = None,
    name: str = "run.started",
    data: str = "{}",
) -> list[int]:
    """Append events in somebody's transaction; return their places in the log."""
    rows = connection.execute(
        "INSERT INTO events (run_id, namespace, name, data) "
        "SELECT %s, 'default', %s, %s FROM generate_series(1, %s) RETURNING id",
        [run_id, name, data, number],
    ).fetchall()
    return [row[0] for row in rows]


def logged_event(position: int) -> EventRecord:
    """Return the event of a place in the log."""
    return EventRecord(
        position=position,
        event_id=str(position),
        causation_id=None,
        name="run.started",
        version=1,
        occurred_at=datetime(2026, 1, 1, tzinfo=UTC),
        namespace="default",
        workflow=None,
        workflow_version=None,
        run_id=None,
        step=None,
        attempt=None,
        correlation_id=None,
        traceparent=None,
        data={},
    )


def any_run() -> str:
    """Return the id of a run that only its events know."""
    return str(uuid4())


def wait_for(subscriber: Recorder, places: Sequence[int], *, within: float = 20.0) -> None:
    """Return once a subscriber has got the events of these places."""
    wanted = set(places)
    wait_until(
        lambda: wanted <= set(subscriber.positions),
        within=within,
        why=f"{subscriber.name} has got {len(wanted)} events",
    )

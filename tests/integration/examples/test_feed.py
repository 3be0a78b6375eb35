"""The feed: a table of the user's own that holds the newest state of each run, whatever order events come in."""

from collections.abc import Sequence

import psycopg
import pytest

from examples.subscribers.feed import Feed
from workflow_engine import ConfigurationError
from workflow_engine.model.records import EventRecord
from workflow_engine.testing import an_event


@pytest.fixture
def feed(fresh_database: str, monkeypatch: pytest.MonkeyPatch) -> Feed:
    """Writes to a database that is empty but for its table."""
    monkeypatch.setenv("SHOP_DATABASE_URL", fresh_database)
    made = Feed()
    made.opened()
    return made


def rows(url: str) -> list[tuple[object, ...]]:
    with psycopg.connect(url) as connection:
        return connection.execute("SELECT state, failed_step, position FROM shop.order_runs").fetchall()


def life() -> list[EventRecord]:
    names = ["run.submitted", "run.started", "run.failed"]
    return [an_event(name, position=position) for position, name in enumerate(names, start=1)]


@pytest.mark.parametrize(
    "order", [[0, 1, 2], [0, 1, 2, 0, 1, 2], [2, 0, 1], [1, 2, 2, 0]], ids=["once", "again", "late", "both"]
)
def test_the_newest_event_of_a_run_wins(feed: Feed, fresh_database: str, order: Sequence[int]) -> None:
    events = life()

    feed.on_batch([events[number] for number in order])
    for number in order:
        feed.on_batch([events[number]])

    assert rows(fresh_database) == [("failed", "charge", 3)]


@pytest.mark.parametrize(
    ("name", "state"),
    [
        ("run.submitted", "pending"),
        ("run.started", "running"),
        ("run.succeeded", "succeeded"),
        ("run.failed", "failed"),
        ("run.cancelling", "cancelling"),
        ("run.cancelled", "cancelled"),
        ("run.expired", "expired"),
    ],
)
def test_each_event_of_a_run_leads_to_its_state(feed: Feed, fresh_database: str, name: str, state: str) -> None:
    feed.on_batch([an_event(name)])

    assert [row[0] for row in rows(fresh_database)] == [state]


def test_a_second_start_leaves_the_table_as_it_is(feed: Feed, fresh_database: str) -> None:
    feed.on_batch(life())

    feed.opened()

    assert rows(fresh_database) == [("failed", "charge", 3)]


def test_without_any_database_it_cannot_be_made(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SHOP_DATABASE_URL", raising=False)

    with pytest.raises(ConfigurationError, match="WFE_DATABASE_URL"):
        Feed()

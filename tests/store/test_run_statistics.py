"""Statistics say what a count of all runs would, and cost a few statements."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.support.recording import RecordingDispatcher, graph, run_all, submit
from workflow_engine import InvalidInput
from workflow_engine.client.run_lists import RunLists
from workflow_engine.engine.processor import Processor
from workflow_engine.model.commands import CancelRun
from workflow_engine.store import run_statistics
from workflow_engine.store.transaction import Store

HOUR = datetime.now(UTC).replace(minute=0, second=0, microsecond=0) - timedelta(hours=3)


@pytest.fixture
def lists(processor: Processor, dispatcher: RecordingDispatcher, store: Store) -> RunLists:
    """Runs of two workflows: ten that took 1 to 10 s, one cancelled and one that goes on; and one of two days ago."""
    first, second = graph({"a": ()}), graph({"a": ()})
    done = [submit(processor, first, tags=["done"]) for _ in range(10)]
    run_all(processor, dispatcher)
    processor.execute(CancelRun(run_id=submit(processor, second)))
    submit(processor, second)
    old = submit(processor, first)
    with store.single() as tx:
        for seconds, run_id in enumerate(done, 1):
            begin = HOUR + timedelta(minutes=59)
            tx.connection.execute(
                b"UPDATE runs SET created_at = %s, started_at = %s, finished_at = %s WHERE id = %s",
                [begin, begin + timedelta(seconds=55), begin + timedelta(seconds=55 + seconds), run_id],
            )
        tx.connection.execute(b"UPDATE runs SET created_at = now() - interval '2 days' WHERE id = %s", [old])
    return RunLists(store, namespace="default")


def test_the_runs_of_the_last_day_are_counted_by_state_workflow_and_hour(lists: RunLists) -> None:
    found = lists.statistics()

    assert (found.runs, found.complete) == (12, True)
    assert found.states == {"succeeded": 10, "cancelled": 1, "pending": 1}
    assert (found.p50_seconds, found.p95_seconds) == (5, 10)
    assert [(each.runs, each.states, each.p50_seconds) for each in found.workflows] == [
        (10, {"succeeded": 10}, 5),
        (2, {"cancelled": 1, "pending": 1}, None),
    ]
    assert [(each.begin, each.submitted, each.finished) for each in found.hours][:2] == [
        (HOUR, 10, 4),
        (HOUR + timedelta(hours=1), 0, 6),
    ]
    assert found.until - found.since == timedelta(days=1)


def test_a_filter_and_a_time_say_which_runs_are_counted(lists: RunLists) -> None:
    now = datetime.now(UTC)

    assert lists.statistics(tags=["done"], states=["succeeded"]).runs == 10
    assert lists.statistics(created_after=now - timedelta(days=3), created_before=now - timedelta(days=1)).runs == 1
    nothing = lists.statistics(workflow="none")
    assert (nothing.runs, nothing.states, nothing.workflows, nothing.hours) == (0, {}, [], [])


def test_of_more_runs_than_are_looked_at_the_newest_are_counted(
    lists: RunLists, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_statistics, "MOST_LOOKED_AT", 2)

    found = lists.statistics()

    assert (found.runs, found.complete) == (2, False)
    assert found.states == {"cancelled": 1, "pending": 1}


@pytest.mark.parametrize(
    ("field", "wanted"),
    [
        ("colour", {"colour": "blue"}),
        ("created_before", {"created_before": "yesterday"}),
        ("created_after", {"created_after": datetime(2026, 1, 1)}),  # noqa: DTZ001  without a zone: what is refused
        ("created_after", {"created_after": datetime(2020, 1, 1, tzinfo=UTC)}),
        ("created_before", {"created_after": datetime(2040, 1, 1, tzinfo=UTC)}),
    ],
)
def test_statistics_of_nonsense_are_refused_by_name(store: Store, field: str, wanted: dict[str, Any]) -> None:
    with pytest.raises(InvalidInput) as raised:
        RunLists(store, namespace="default").statistics(**wanted)

    assert raised.value.field == field


def test_statistics_cost_a_few_statements(lists: RunLists, count_statements: Callable[[], int]) -> None:
    count_statements()
    lists.statistics(tags=["done"], states=["succeeded"])

    assert count_statements() <= 7

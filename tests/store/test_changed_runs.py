"""What is said about runs can be changed while they go on, and they can be forgotten when they have ended."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.support.recording import RecordingDispatcher, claim, complete, event_names, graph, run_all, states, submit
from workflow_engine import InvalidInput, RunEnded, RunNotFound, WrongState, compile_plan
from workflow_engine.client.client import WorkflowClient
from workflow_engine.clock import SystemClock
from workflow_engine.definitions.registry import Registry
from workflow_engine.engine.processor import Processor
from workflow_engine.model.commands import CancelRun, DeleteRuns, ProcessReadiness
from workflow_engine.model.run_changes import merged
from workflow_engine.store.transaction import Store

CHAIN = {"a": (), "b": ("a",), "c": ("b",)}
LATER = datetime(2040, 1, 31, 12, tzinfo=UTC)


@pytest.fixture
def client(store: Store, processor: Processor) -> WorkflowClient:
    return WorkflowClient(store, processor, Registry(), SystemClock(), namespace="default", input_limit=10_000)


def the_event(store: Store, run_id: str, name: str) -> Any:
    with store.single() as tx:
        (event,) = [each for each in tx.views.events_of(run_id) if each.name == name]
    return event


def test_what_is_said_about_a_run_is_changed_and_told_without_the_values(client: WorkflowClient, store: Store) -> None:
    run = client.submit(graph(CHAIN), title="before", tags=["old"], metadata={"a": 1, "gone": 2, "deep": {"x": 1}})

    changed = run.update(
        actor="ada",
        priority="critical",
        title="secret title",
        description="more",
        tags=["new"],
        metadata={"b": 2, "gone": None, "deep": {"y": 2}},
        due_at=LATER,
    )

    record = run.record
    assert changed == ("description", "due_at", "metadata", "priority", "tags", "title")
    assert (record.title, record.description, record.tags, record.priority) == (
        "secret title",
        "more",
        ["new"],
        "critical",
    )
    assert record.metadata == {"a": 1, "b": 2, "deep": {"x": 1, "y": 2}}
    assert record.due_at == LATER
    event = the_event(store, run.id, "run.updated")
    assert event.data["changed"] == ["description", "metadata", "priority", "tags", "title"]
    assert event.data["actor"] == "ada"
    assert "secret" not in str(event.data)
    assert event_names(store, run.id)["run.rescheduled", None] == 1
    assert [
        each.id
        for each in client.page_runs(tags=["new"], metadata={"deep": {"y": 2}}, due_before=LATER + timedelta(1)).items
    ] == [run.id]
    assert client.page_runs(tags=["old"]).items == client.page_runs(metadata={"gone": 2}).items == []


def test_an_update_that_changes_nothing_tells_nothing(client: WorkflowClient, store: Store) -> None:
    run = client.submit(graph(CHAIN), title="as it is", metadata={"a": 1})

    assert run.update(title="as it is", metadata={"a": 1, "b": None}, priority=None) == ()
    assert event_names(store, run.id)["run.updated", None] == 0


def test_another_priority_holds_for_every_step_that_was_not_sent(
    client: WorkflowClient, processor: Processor, dispatcher: RecordingDispatcher
) -> None:
    run = client.submit(graph(CHAIN), priority="low")
    scheduled = client.submit(graph(CHAIN), priority="low", scheduled_at=datetime(2020, 1, 1, tzinfo=UTC))
    first = dispatcher.take("a")
    assert claim(processor, first) is not None

    run.update(priority="critical")  # while its first step runs
    scheduled.update(priority="high")
    complete(processor, first)
    processor.execute(ProcessReadiness(limit=10))

    assert first.priority == 0
    assert dispatcher.take("b").priority == 3
    assert dispatcher.take("a").priority == 2


@pytest.mark.parametrize(
    ("field", "changes"),
    [
        ("changes", {}),
        ("colour", {"colour": "blue"}),
        ("priority", {"priority": "urgent"}),
        ("title", {"title": ""}),
        ("title", {"title": "a\x00"}),
        ("tags", {"tags": ["x"] * 51}),
        ("metadata", {"metadata": {"a": "x" * 70_000}}),
        ("metadata", {"metadata": {"b": "x" * 40_000}}),
        ("metadata", {"metadata": [1]}),
        ("due_at", {"due_at": datetime(2040, 1, 31)}),  # noqa: DTZ001  without a zone: what is refused
        ("remind_before", {"remind_before": [60]}),
        ("actor", {"title": "x", "actor": 7}),
    ],
)
def test_a_change_that_cannot_be_is_refused_by_name_and_changes_nothing(
    client: WorkflowClient, store: Store, field: str, changes: dict[str, Any]
) -> None:
    run = client.submit(graph(CHAIN), metadata={"a": "x" * 40_000})

    with pytest.raises(InvalidInput) as raised:
        run.update(**{"title": "new", **changes} if changes else {})

    assert raised.value.field == field
    assert run.record.title is None
    assert event_names(store, run.id)["run.updated", None] == 0


def test_a_run_that_has_ended_or_is_not_there_cannot_be_changed(
    client: WorkflowClient, processor: Processor, dispatcher: RecordingDispatcher
) -> None:
    run = client.submit(graph(CHAIN))
    run_all(processor, dispatcher)

    with pytest.raises(RunEnded) as raised:
        run.update(title="too late")
    assert raised.value.state == "succeeded"
    run.delete()
    with pytest.raises(RunNotFound):
        run.update(title="later still")


def test_a_deleted_run_leaves_nothing_but_its_events(
    client: WorkflowClient, processor: Processor, dispatcher: RecordingDispatcher, store: Store
) -> None:
    run = client.submit(graph(CHAIN), tags=["x"], idempotency_key="k", due_at=LATER, initiator="ada")
    processor.execute(CancelRun(run_id=run.id))
    dispatcher.sent.clear()

    run.delete("asked for", actor="ada")

    with store.single() as tx:
        for table, column in (("runs", "id"), ("steps", "run_id"), ("timers", "run_id"), ("run_labels", "run_id")):
            assert not tx.connection.execute(f"SELECT FROM {table} WHERE {column} = %s".encode(), [run.id]).fetchall()
    event = the_event(store, run.id, "run.deleted")
    assert event.data | {"workflow": None} == {
        "workflow": None,
        "version": "1",
        "state": "cancelled",
        "reason": "asked for",
        "actor": "ada",
    }
    with pytest.raises(RunNotFound):
        client.run(run.id)
    with pytest.raises(RunNotFound):
        run.delete()
    assert client.submit(graph(CHAIN), idempotency_key="k").created


@pytest.mark.parametrize("state", ["pending", "running", "paused", "cancelling"])
def test_a_run_that_has_not_ended_is_not_deleted(
    client: WorkflowClient, processor: Processor, dispatcher: RecordingDispatcher, store: Store, state: str
) -> None:
    run = client.submit(graph(CHAIN))
    if state != "pending":
        claim(processor, dispatcher.take("a"))
    if state == "paused":
        run.pause()
    if state == "cancelling":
        run.cancel()

    with pytest.raises(WrongState) as raised:
        run.delete()

    assert raised.value.state == state == run.state
    assert event_names(store, run.id)["run.deleted", None] == 0


def test_runs_are_updated_and_deleted_by_filter_with_a_dry_run_first(
    client: WorkflowClient, processor: Processor, dispatcher: RecordingDispatcher
) -> None:
    mine = [client.submit(graph({"a": ()}), tags=["mine"]) for _ in range(3)]
    other = client.submit(graph({"a": ()}))

    would = client.in_bulk.update({"priority": "high"}, tags=["mine"], dry_run=True)
    done = client.in_bulk.update({"priority": "high"}, tags=["mine"], actor="ada")

    assert list(would.done) == list(done.done) == [run.id for run in mine]
    assert [run.record.priority for run in (*mine, other)] == ["high"] * 3 + [None]
    assert client.in_bulk.delete(tags=["mine"]).done == []
    run_all(processor, dispatcher)
    assert client.in_bulk.delete(tags=["mine"], dry_run=True, limit=2).more
    assert set(client.in_bulk.delete(tags=["mine"], reason="old").done) == {run.id for run in mine}
    assert [run.id for run in client.page_runs().items] == [other.id]


def test_a_bulk_delete_of_what_goes_on_says_why_it_does_not(client: WorkflowClient) -> None:
    run = client.submit(graph(CHAIN), tags=["mine"])

    done = client.in_bulk.delete(tags=["mine"], states=["pending"])

    assert done.done == []
    assert [each.id for each in done.refused] == [run.id]
    assert "pending: only what has ended can be deleted" in done.refused[0].why


@pytest.mark.parametrize("act", [lambda bulk: bulk.delete(), lambda bulk: bulk.update({"title": "x"})])
def test_a_bulk_without_a_filter_is_refused(client: WorkflowClient, act: Callable[[Any], Any]) -> None:
    with pytest.raises(InvalidInput) as raised:
        act(client.in_bulk)

    assert raised.value.field == "filter"


def test_many_runs_are_deleted_by_the_same_statements_as_one(
    processor: Processor, dispatcher: RecordingDispatcher, count_statements: Callable[[], int]
) -> None:
    workflow = graph(CHAIN)
    runs = [submit(processor, workflow) for _ in range(13)]
    run_all(processor, dispatcher)

    counts = []
    for some in (runs[:1], runs[1:]):
        count_statements()
        assert processor.execute(DeleteRuns(run_ids=some)).deleted == sorted(some)
        counts.append(count_statements())

    assert counts[0] == counts[1]


def test_a_message_for_a_deleted_run_does_nothing(
    processor: Processor, dispatcher: RecordingDispatcher, store: Store
) -> None:
    plan = graph({"a": (), "b": ()})
    processor.register(compile_plan(plan))
    run_id = submit(processor, plan)
    late = dispatcher.take("a")
    processor.execute(CancelRun(run_id=run_id))
    processor.execute(DeleteRuns(run_ids=[run_id]))

    assert claim(processor, late) is None
    assert states(store, run_id) == {}


@pytest.mark.parametrize(
    ("present", "patch", "result"),
    [
        ({"a": "b"}, {"a": "c"}, {"a": "c"}),
        ({"a": "b", "b": "c"}, {"a": None}, {"b": "c"}),
        ({"a": ["b"]}, {"a": "c"}, {"a": "c"}),
        ({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}, {"a": {"b": "d"}}),
        ({"a": [{"b": "c"}]}, {"a": [1]}, {"a": [1]}),
        ({}, {"a": {"bb": {"ccc": None}}}, {"a": {"bb": {}}}),
    ],
)
def test_metadata_is_merged_as_rfc_7396_says(present: Any, patch: Any, result: Any) -> None:
    assert merged(present, patch) == result

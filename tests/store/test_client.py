"""What a client refuses at the door, and what it answers; nothing of a refused call is stored."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from tests.support.recording import RecordingDispatcher, claim, complete, graph
from workflow_engine import InvalidInput, RunNotFound, RunTimeout, WorkflowNotFound
from workflow_engine.client import run_tail
from workflow_engine.client.client import WorkflowClient
from workflow_engine.clock import SystemClock
from workflow_engine.definitions.registry import Registry
from workflow_engine.engine.processor import Processor
from workflow_engine.store.transaction import Store


@pytest.fixture
def client(store: Store, processor: Processor) -> WorkflowClient:
    """A client whose messages are kept, not sent."""
    return WorkflowClient(store, processor, Registry(), SystemClock(), namespace="default", input_limit=10_000)


class WrongClock:
    """A host's clock that is a year ahead."""

    def now(self) -> datetime:
        return datetime.now(UTC) + timedelta(days=366)


def test_the_lifetime_of_a_run_is_counted_by_the_databases_clock(store: Store, processor: Processor) -> None:
    client = WorkflowClient(store, processor, Registry(), WrongClock(), namespace="default", input_limit=10_000)

    run = client.submit(graph({"a": ()}), expires_in=3_600)

    with store.single() as tx:
        query = "SELECT expires_at - created_at AS lifetime FROM runs WHERE id = %s"
        row: Any = tx.connection.execute(query, [run.id]).fetchone()
    assert timedelta(minutes=59) < row.lifetime <= timedelta(hours=1)


@pytest.mark.parametrize("said", [{"reason": "a\x00"}, {"reason": "\ud800"}, {"reason": "x" * 2_001}, {"reason": 7}])
@pytest.mark.parametrize("field", ["reason", "actor"])
def test_what_is_said_about_a_cancel_must_be_storable(client: WorkflowClient, said: dict[str, Any], field: str) -> None:
    run = client.submit(graph({"a": ()}))

    with pytest.raises(InvalidInput) as raised:
        run.cancel(**{field: said["reason"]})

    assert raised.value.field == field
    assert run.state == "pending"


@pytest.mark.parametrize("unstorable", ["a\x00", "\ud800", 17])
@pytest.mark.parametrize(
    ("field", "call"),
    [
        ("workflow", lambda client, text: client.submit(text)),
        ("version", lambda client, text: client.submit("orders", version=text)),
        ("workflow", lambda client, text: client.runs(workflow=text)),
        ("tag", lambda client, text: client.runs(tag=text)),
    ],
    ids=["submit", "version", "runs of", "runs with"],
)
def test_a_name_that_no_database_could_hold_is_refused(
    client: WorkflowClient, field: str, call: Callable[[WorkflowClient, Any], Any], unstorable: Any
) -> None:
    with pytest.raises(InvalidInput) as raised:
        call(client, unstorable)

    assert raised.value.field == field


@pytest.mark.parametrize("name", ["", "x" * 10_000, "no such workflow"])
def test_a_name_that_is_none_of_ours_is_not_found(client: WorkflowClient, name: str) -> None:
    with pytest.raises(WorkflowNotFound):
        client.submit(name)


@pytest.mark.parametrize("limit", [0, -1, 1_001, 2.5, "3", None])
def test_a_page_has_1_to_1000_runs(client: WorkflowClient, limit: Any) -> None:
    with pytest.raises(InvalidInput, match="limit: must be from 1 to 1000"):
        client.runs(limit=limit)


@pytest.mark.parametrize("form", ["urn:uuid:{}", "{{{}}}", "{}"])
def test_a_run_is_found_by_any_form_of_its_id_and_answers_with_the_usual_one(client: WorkflowClient, form: str) -> None:
    run = client.submit(graph({"a": ()}))

    found = client.run(form.format(run.id.upper()))

    assert found.id == run.id
    assert found.cancel()


def test_a_run_id_is_a_uuid_of_version_7_and_later_runs_have_greater_ones(client: WorkflowClient) -> None:
    workflow = graph({"a": ()})
    first, second = client.submit(workflow), client.submit_many(workflow, [1])[0]

    assert UUID(first.id).version == 7
    assert first.id[:13] <= second.id[:13]


@pytest.mark.parametrize("run_id", [17, None, "", "x", "0" * 400, "\x00"])
def test_what_is_no_id_finds_no_run(client: WorkflowClient, run_id: Any) -> None:
    with pytest.raises(RunNotFound):
        client.run(run_id)


@pytest.mark.parametrize("timeout", [0, -1, 0.01])
def test_waiting_ends_with_the_time_and_says_where_the_run_stands(client: WorkflowClient, timeout: float) -> None:
    with pytest.raises(RunTimeout, match="still 'pending' after"):
        client.submit(graph({"a": ()})).wait(timeout=timeout)


def test_a_wait_of_no_number_is_refused(client: WorkflowClient) -> None:
    with pytest.raises(InvalidInput, match="timeout"):
        client.submit(graph({"a": ()})).wait(timeout=float("nan"))


def test_an_input_that_is_refused_leaves_no_run(client: WorkflowClient) -> None:
    workflow = graph({"a": ()})

    with pytest.raises(InvalidInput, match="input: has 10002 bytes"):
        client.submit(workflow, "x" * 10_000)
    with pytest.raises(InvalidInput, match=r"inputs\[1\].input: "):
        client.submit_many(workflow, [1, "\x00", 3])

    assert client.runs() == []


def test_a_run_of_another_namespace_is_not_found(client: WorkflowClient, store: Store, processor: Processor) -> None:
    run = client.submit(graph({"a": ()}))
    tenant = WorkflowClient(store, processor, Registry(), SystemClock(), namespace="tenant", input_limit=10_000)

    with pytest.raises(RunNotFound):
        tenant.run(run.id)
    assert tenant.runs() == []
    assert tenant.workflows() == []


def test_the_result_is_that_of_the_sinks_which_have_succeeded(
    client: WorkflowClient, processor: Processor, dispatcher: RecordingDispatcher
) -> None:
    run = client.submit(graph({"a": (), "b": ("a",), "c": ("a",)}))
    for name, result in [("a", '"first"'), ("b", '{"x":1}')]:
        message = dispatcher.take(name)
        claim(processor, message)
        complete(processor, message, result)

    assert run.result == {"b": {"x": 1}}
    assert {state.value: number for state, number in run.count_steps().items()} == {"succeeded": 2, "dispatched": 1}


def test_a_long_history_is_read_to_its_end(client: WorkflowClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_tail, "EVENTS_PAGE", 7)
    run = client.submit(graph({f"s{number}": () for number in range(20)}))

    events = run.events()

    assert len(events) == 21
    assert events == sorted(events, key=lambda event: event.position)
    assert run.events(after=events[-1].position) == []
    assert run.events(after=events[-9].position) == events[-8:]

"""The same done to many runs."""

import pytest

from tests.support.recording import RecordingDispatcher, claim, fail, graph, run_all
from workflow_engine.client.client import WorkflowClient
from workflow_engine.clock import SystemClock
from workflow_engine.definitions.registry import Registry
from workflow_engine.engine.processor import Processor
from workflow_engine.errors import InvalidInput
from workflow_engine.store.transaction import Store


@pytest.fixture
def broker() -> RecordingDispatcher:
    return RecordingDispatcher()


@pytest.fixture
def client(store: Store, broker: RecordingDispatcher) -> WorkflowClient:
    return WorkflowClient(
        store, Processor(store, broker), Registry(), SystemClock(), namespace="default", input_limit=1_000
    )


def test_what_fits_is_paused_resumed_and_cancelled_each_once(
    client: WorkflowClient, broker: RecordingDispatcher
) -> None:
    workflow = graph({"only": ()})
    ours = [client.submit(workflow, tags=["nightly"]).id for _ in range(3)]
    other = client.submit(workflow)

    would = client.in_bulk.pause(tags=["nightly"], dry_run=True)
    assert (would.done, would.refused, would.more) == (ours, (), False)
    assert other.state == client.run(ours[0]).state == "pending"

    first = client.in_bulk.pause(tags=["nightly"], limit=2, reason="night is over", actor="ada")
    assert (list(first.done), first.more) == (ours[:2], True)
    assert list(client.in_bulk.pause(tags=["nightly"]).done) == ours[2:]
    assert not client.in_bulk.pause(tags=["nightly"]).done
    assert list(client.in_bulk.resume(workflow=workflow.name).done) == ours
    assert list(client.in_bulk.cancel(tags=["nightly"]).done) == ours
    assert other.state == "pending"


def test_what_cannot_be_done_is_refused_with_the_reason_and_the_rest_is_done(
    client: WorkflowClient, broker: RecordingDispatcher, store: Store
) -> None:
    workflow = graph({"only": ()})
    over, going = client.submit(workflow), client.submit(workflow)
    message = broker.take("only")
    run_all(Processor(store, broker), broker)
    assert message.run_id == over.id
    assert going.state == "succeeded"

    done = client.in_bulk.pause(workflow=workflow.name, states=["pending", "succeeded"])

    assert list(done.done) == [over.id]
    (refused,) = done.refused
    assert (refused.id, "succeeded" in refused.why) == (going.id, True)


def test_failed_runs_are_retried(client: WorkflowClient, broker: RecordingDispatcher, store: Store) -> None:
    workflow = graph({"only": ()})
    run = client.submit(workflow)
    processor = Processor(store, broker)
    message = broker.take("only")
    claim(processor, message)
    fail(processor, message)
    assert run.state == "failed"

    assert list(client.in_bulk.retry(workflow=workflow.name).done) == [run.id]
    assert run.state == "running"


def test_a_filter_must_say_something(client: WorkflowClient) -> None:
    run = client.submit(graph({"only": ()}))
    with pytest.raises(InvalidInput, match="filter"):
        client.in_bulk.cancel()
    with pytest.raises(InvalidInput, match="limit"):
        client.in_bulk.cancel(workflow="x", limit=0)
    with pytest.raises(InvalidInput, match="reason"):
        client.in_bulk.cancel(workflow="x", reason=7)  # type: ignore[arg-type]  that is the point
    assert run.state == "pending"

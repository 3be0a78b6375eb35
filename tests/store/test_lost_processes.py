"""A process that is gone: what it ran, and what it had claimed without telling anybody, is given away at once."""

from collections.abc import Sequence
from dataclasses import replace
from uuid import uuid4

import pytest

from tests.support.recording import RecordingDispatcher, claim, complete, go_on, graph, states, submit
from workflow_engine.celery_app.identity import WorkerIdentity
from workflow_engine.celery_app.messages import HEADER, OTHERS
from workflow_engine.celery_app.runtime import StepRuntime
from workflow_engine.definitions.registry import Registry
from workflow_engine.engine.dispatcher import Dispatch
from workflow_engine.engine.processor import Processor
from workflow_engine.store.transaction import Store

SIBLINGS = {"a": (), "b": ("a",), "c": ("a",), "d": ("a",)}


@pytest.fixture
def runtime(processor: Processor, store: Store) -> StepRuntime:
    """What a worker's main process has."""
    return StepRuntime(processor, Registry([]), WorkerIdentity(), store=store, result_limit=1_000)


@pytest.fixture
def worker(runtime: StepRuntime) -> str:
    return runtime._identity.id


def taken(processor: Processor, dispatcher: RecordingDispatcher, steps: Sequence[str], worker: str) -> list[Dispatch]:
    """Claim steps as this worker does."""
    messages = [dispatcher.take(step) for step in steps]
    assert all(claim(processor, message, worker) for message in messages)
    return messages


def test_the_child_that_it_went_on_with(
    runtime: StepRuntime, worker: str, processor: Processor, dispatcher: RecordingDispatcher, store: Store
) -> None:
    run_id = submit(processor, graph({"a": (), "b": ("a",)}))
    (first,) = taken(processor, dispatcher, ["a"], worker)
    go_on(processor, first, "b", worker)

    runtime.lose(first.as_attempt, "killed")

    assert states(store, run_id) == {"a": "succeeded", "b": "ready"}


def test_the_sibling_that_it_went_on_with_and_no_other(
    runtime: StepRuntime, worker: str, processor: Processor, dispatcher: RecordingDispatcher, store: Store
) -> None:
    run_id = submit(processor, graph(SIBLINGS))
    (first,) = taken(processor, dispatcher, ["a"], worker)
    complete(processor, first)
    second, _ = taken(processor, dispatcher, ["b", "c"], worker)
    go_on(processor, second, "d", worker)

    runtime.lose(second.as_attempt, "killed")

    assert states(store, run_id) == {"a": "succeeded", "b": "succeeded", "c": "running", "d": "ready"}


def test_what_it_ran_and_not_what_another_worker_went_on_with(
    runtime: StepRuntime, worker: str, processor: Processor, dispatcher: RecordingDispatcher, store: Store
) -> None:
    run_id = submit(processor, graph({"a": (), "b": ("a",), "c": ()}))
    first, other = taken(processor, dispatcher, ["a", "c"], worker)
    go_on(processor, first, "b", str(uuid4()))

    runtime.lose(first.as_attempt, "killed")
    runtime.lose(other.as_attempt, "killed")

    assert states(store, run_id) == {"a": "succeeded", "b": "running", "c": "ready"}


def test_a_revoked_task_leaves_the_steps_that_share_its_message_to_others(
    runtime: StepRuntime, processor: Processor, dispatcher: RecordingDispatcher, store: Store
) -> None:
    run_id = submit(processor, graph(SIBLINGS))
    first = dispatcher.take("a")
    claim(processor, first)
    complete(processor, first)
    message, *others = (dispatcher.take(step) for step in "bcd")
    header = [message.plan_id, message.run_id, message.position, message.attempt]

    runtime.revoke({HEADER: header, OTHERS: [other.position for other in others]}, "revoked")

    assert states(store, run_id)["b"] == "failed"
    assert [replace(each, others=()) for each in dispatcher.sent] == [replace(other, others=()) for other in others]

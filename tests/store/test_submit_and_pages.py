"""Submit: one run a key, all of it or nothing; and the pages that list them."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest

from tests.support.recording import RecordingDispatcher, claim, graph, run_all, run_state, states, submit
from workflow_engine import DefinitionChanged, IdempotencyConflict, Workflow, compile_plan
from workflow_engine.client.run_lists import RunLists
from workflow_engine.engine.processor import Processor
from workflow_engine.ids import RunId, new_run_id
from workflow_engine.model.commands import FireTimers, ProcessReadiness, SubmitRun
from workflow_engine.model.run_options import RunOptions
from workflow_engine.store.transaction import Store


def _submit(processor: Processor, plan_id: int, key: str, digest: str = "-") -> RunId:
    command = SubmitRun(
        run_id=new_run_id(), plan_id=plan_id, input="1", input_digest=digest, options=RunOptions(idempotency_key=key)
    )
    found: RunId = processor.execute(command).run_id
    return found


def test_the_same_key_gives_the_same_run_under_concurrency(processor: Processor, store: Store) -> None:
    plan_id = processor.register(compile_plan(graph({"a": ()})))

    with ThreadPoolExecutor(8) as threads:
        runs = set(threads.map(lambda _: _submit(processor, plan_id, "order-17"), range(24)))

    assert len(runs) == 1
    assert len(RunLists(store, namespace="default").page().items) == 1


def test_the_same_key_with_another_input_is_a_conflict(processor: Processor) -> None:
    plan_id = processor.register(compile_plan(graph({"a": ()})))
    first = _submit(processor, plan_id, "order-17")

    with pytest.raises(IdempotencyConflict) as raised:
        _submit(processor, plan_id, "order-17", digest="other")

    assert raised.value.run_id == first


def test_a_changed_definition_under_the_same_version_is_refused_with_the_difference(processor: Processor) -> None:
    def orders(timeout: int) -> Workflow:
        workflow = Workflow("orders")
        workflow.step(name="charge", timeout=timeout)(lambda ctx: None)
        return workflow

    processor.register(compile_plan(orders(30)))
    processor.register(compile_plan(orders(30)))

    with pytest.raises(DefinitionChanged, match=r"(?s)version '1'.*-charge: .*timeout=30.*\+charge: .*timeout=60"):
        processor.register(compile_plan(orders(60)))


def test_a_scheduled_run_waits_for_its_time(
    processor: Processor, dispatcher: RecordingDispatcher, store: Store
) -> None:
    later = datetime.now(UTC) + timedelta(hours=1)
    run_id = submit(processor, graph({"a": ()}), scheduled_at=later)

    assert states(store, run_id) == {"a": "ready"}
    assert processor.execute(ProcessReadiness(limit=10)).number == 0
    assert not dispatcher.sent


def test_a_run_that_did_not_start_in_time_expires_and_a_started_one_does_not(
    processor: Processor, dispatcher: RecordingDispatcher, store: Store
) -> None:
    now = datetime.now(UTC)
    late = submit(processor, graph({"a": (), "b": ("a",)}), expires_at=now)
    started = submit(processor, graph({"x": ()}), expires_at=now)
    claim(processor, dispatcher.take("x"))

    processor.execute(FireTimers(limit=10))

    assert run_state(store, late) == "expired"
    assert states(store, late) == {"a": "cancelled", "b": "cancelled"}
    assert run_state(store, started) == "running"
    assert claim(processor, dispatcher.take("a")) is None


def test_steps_and_events_of_a_run_are_one_query_each(
    processor: Processor, dispatcher: RecordingDispatcher, store: Store, count_statements: Callable[[], int]
) -> None:
    run_id = submit(processor, graph({f"s{number}": () for number in range(30)}))
    run_all(processor, dispatcher)
    count_statements()

    with store.single() as tx:
        assert len(tx.views.steps_of(run_id)) == 30
        assert count_statements() == 1
        assert len(tx.views.events_of(run_id)) == 1 + 30 * 3 + 2
        assert count_statements() == 1


@pytest.mark.parametrize("not_an_id", ["", "17", "x" * 36, "0" * 400])
def test_what_is_not_an_id_finds_nothing(store: Store, not_an_id: str) -> None:
    with store.single() as tx:
        assert tx.views.find_run(RunId(not_an_id)) is None
        assert tx.views.steps_of(RunId(not_an_id)) == []
        assert tx.views.events_of(RunId(not_an_id)) == []


def test_a_registered_workflow_is_found_by_name_in_its_newest_version(processor: Processor, store: Store) -> None:
    for version in ["2", "10", "1"]:
        workflow = Workflow("orders", version=version)
        workflow.step(name="a")(lambda ctx: None)
        processor.register(compile_plan(workflow))

    with store.single() as tx:
        newest = tx.plans.find("orders", namespace="default")
        named = tx.plans.find("orders", namespace="default", version="10")
        listed = tx.views.workflows("default")

    assert newest is not None
    assert named is not None
    assert (newest.plan.version, named.plan.version) == ("1", "10")
    assert [each.version for each in listed] == ["2", "10", "1"]

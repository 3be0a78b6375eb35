"""Many runs in one statement are what each would be alone: all of them, or none."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from threading import Barrier
from typing import Any

import pytest

from tests.support.recording import RecordingDispatcher, event_names, graph, run_all, run_state, states
from workflow_engine import IdempotencyConflict, InvalidInput, compile_plan
from workflow_engine.client.batch import RunToSubmit
from workflow_engine.client.client import WorkflowClient
from workflow_engine.clock import SystemClock
from workflow_engine.definitions.registry import Registry
from workflow_engine.engine.background import Background
from workflow_engine.engine.processor import Processor
from workflow_engine.engine.resender import ResendService
from workflow_engine.ids import new_run_id
from workflow_engine.model.commands import SubmitRun
from workflow_engine.model.run_options import RunOptions
from workflow_engine.store.transaction import Store

SHAPE = {"a": (), "b": ("a",), "c": ("a",), "d": ("b", "c")}
LATER = datetime(2040, 1, 31, 12, tzinfo=UTC)
ALL_OPTIONS: dict[str, Any] = {
    "correlation_id": 'an "id"',
    "title": "a {title}, 'quoted'",
    "description": "two\nlines \\ and a backslash",
    "tags": ["b", 'a "tag"'],
    "metadata": {"ä": [1, {"x": None}]},
    "agent": "smith",
    "initiator": "ada",
    "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    "priority": 3,
    "due_at": LATER,
    "remind_before": (timedelta(hours=1), timedelta(seconds=0.5)),
    "timeout": timedelta(minutes=1),
    "expires_at": LATER,
}


def a_submit(plan_id: int, text: str = "1", **options: Any) -> SubmitRun:
    return SubmitRun(run_id=new_run_id(), plan_id=plan_id, input=text, input_digest=text, options=RunOptions(**options))


@pytest.fixture
def client(store: Store, processor: Processor) -> WorkflowClient:
    return WorkflowClient(store, processor, Registry(), SystemClock(), namespace="default", input_limit=10_000)


@pytest.mark.parametrize("options", [{}, ALL_OPTIONS, {"scheduled_at": LATER}], ids=["bare", "all", "scheduled"])
def test_a_run_of_a_batch_is_stored_as_one_alone(
    processor: Processor, store: Store, dispatcher: RecordingDispatcher, options: dict[str, Any]
) -> None:
    plan_id = processor.register(compile_plan(graph(SHAPE, timeout=100)))
    alone, together = (a_submit(plan_id, '{"n": 1.50, "s": "ü"}', **options) for _ in range(2))

    processor.execute(alone)
    sent_alone = list(dispatcher.sent)
    dispatcher.sent.clear()
    processor.execute_all([together])

    own = {"id", "created_at", "run_id", "dispatched_at", "ready_at", "occurred_at", "due_at"}
    tables = {"runs": "id", "steps": "run_id", "events": "run_id", "timers": "run_id", "run_labels": "run_id"}
    with store.single() as tx:
        for table, column in tables.items():
            rows = []
            for run in (alone, together):
                found = tx.connection.execute(
                    f"SELECT * FROM {table} WHERE {column} = %s".encode(), [run.run_id]
                ).fetchall()
                values = [{k: v for k, v in row._asdict().items() if k not in own} for row in found]
                for each in values:
                    if each.get("correlation_id") == run.run_id:
                        each["correlation_id"] = "its own"
                rows.append(sorted(values, key=str))
            assert rows[0] == rows[1], table
    assert [each.step for each in dispatcher.sent] == [each.step for each in sent_alone]
    assert [each.priority for each in dispatcher.sent] == [each.priority for each in sent_alone]
    assert states(store, together.run_id) == states(store, alone.run_id)


def test_a_batch_costs_the_same_statements_whatever_its_size(
    processor: Processor, store: Store, dispatcher: RecordingDispatcher, count_statements: Callable[[], int]
) -> None:
    plans = [processor.register(compile_plan(graph(shape))) for shape in (SHAPE, {"x": (), "y": ()})]
    counts = []
    for size in (1, 10, 40):
        batch = [a_submit(plans[number % 2], str(number), idempotency_key=f"{size}-{number}") for number in range(size)]
        count_statements()
        answers = processor.execute_all(batch)
        counts.append(count_statements())
        assert [answer.run_id for answer in answers] == [run.run_id for run in batch]
        assert all(answer.created for answer in answers)

    assert len(set(counts)) == 1
    assert len(dispatcher.sent) == 1 + 10 // 2 * 3 + 40 // 2 * 3
    assert run_all(processor, dispatcher).count("d") == 1 + 5 + 20


def test_a_key_that_is_taken_leads_to_the_first_run(
    processor: Processor, store: Store, dispatcher: RecordingDispatcher
) -> None:
    plan_id = processor.register(compile_plan(graph(SHAPE)))
    first = processor.execute(a_submit(plan_id, "1", idempotency_key="k-1"))
    batch = [a_submit(plan_id, "1", idempotency_key=key) for key in ("k-0", "k-1", "k-2", "k-2", "k-1")]

    answers = processor.execute_all([*batch, a_submit(plan_id)])

    assert [answer.created for answer in answers] == [True, False, True, False, False, True]
    assert answers[1].run_id == answers[4].run_id == first.run_id
    assert answers[3].run_id == answers[2].run_id
    assert len(dispatcher.sent) == 1 + 3
    assert event_names(store, first.run_id)["run.submitted", None] == 1


def test_a_key_with_another_input_refuses_the_whole_batch(
    processor: Processor, store: Store, dispatcher: RecordingDispatcher
) -> None:
    plan_id = processor.register(compile_plan(graph(SHAPE)))
    first = processor.execute(a_submit(plan_id, "1", idempotency_key="k"))
    dispatcher.sent.clear()

    for batch in (
        [a_submit(plan_id), a_submit(plan_id, "2", idempotency_key="k")],
        [a_submit(plan_id, "1", idempotency_key="new"), a_submit(plan_id, "2", idempotency_key="new")],
    ):
        with pytest.raises(IdempotencyConflict) as raised:
            processor.execute_all(batch)

    assert raised.value.key == "new"
    assert not dispatcher.sent
    with store.single() as tx:
        assert [str(row.id) for row in tx.connection.execute(b"SELECT id FROM runs")] == [first.run_id]


def test_batches_with_the_same_keys_at_once_make_each_run_once(
    processor: Processor, store: Store, dispatcher: RecordingDispatcher
) -> None:
    plan_id, at_once = processor.register(compile_plan(graph(SHAPE))), Barrier(4)

    def submit(turn: int) -> list[str]:
        batch = [a_submit(plan_id, idempotency_key=f"k-{number}") for number in range(60)]
        at_once.wait(10)
        answers = processor.execute_all(batch[::-1] if turn % 2 else batch)
        ids = [answer.run_id for answer in answers]
        return ids[::-1] if turn % 2 else ids

    with ThreadPoolExecutor(4) as threads:
        found = list(threads.map(submit, range(4)))

    assert all(ids == found[0] for ids in found)
    assert len(set(found[0])) == 60 == len(dispatcher.sent)


def test_a_batch_with_a_key_for_each_run_may_be_repeated(client: WorkflowClient) -> None:
    workflow = graph(SHAPE)

    def batch(*inputs: int) -> list[RunToSubmit]:
        return [
            RunToSubmit(workflow=workflow, input=value, options={"idempotency_key": f"order-{place}"})
            for place, value in enumerate(inputs)
        ]

    first, again = client.submit_batch(batch(1, 2, 3)), client.submit_batch(batch(1, 2, 3))

    assert [run.id for run in again] == [run.id for run in first]
    assert [run.created for run in (*first, *again)] == [True] * 3 + [False] * 3
    with pytest.raises(IdempotencyConflict):
        client.submit_batch(batch(1, 2, 4))


@pytest.mark.parametrize(
    ("field", "inputs", "said"),
    [
        ("idempotency_key", [1], {"idempotency_key": "k"}),
        ("inputs[1].input", [1, "\x00"], {}),
        ("inputs", range(1_001), {}),
        ("title", [1], {"title": ""}),
    ],
)
def test_a_batch_that_cannot_be_is_refused_by_name_and_stores_nothing(
    client: WorkflowClient, field: str, inputs: Any, said: dict[str, Any]
) -> None:
    with pytest.raises(InvalidInput) as raised:
        client.submit_many(graph(SHAPE), inputs, **said)

    assert raised.value.field == field
    assert client.runs() == []


def test_an_empty_batch_stores_nothing(client: WorkflowClient) -> None:
    assert client.submit_many(graph(SHAPE), []) == []


def test_the_steps_of_many_are_sent_after_the_answer_and_none_twice(
    store: Store, dispatcher: RecordingDispatcher
) -> None:
    background = Background()
    processor = Processor(store, dispatcher, background=background)
    plan_id = processor.register(compile_plan(graph(SHAPE)))
    batch = [a_submit(plan_id) for _ in range(150)]

    processor.execute_all(batch)
    background.close()

    assert sorted(each.run_id for each in dispatcher.sent) == sorted(run.run_id for run in batch)
    assert run_state(store, batch[0].run_id) == "pending"


def test_what_was_not_sent_before_the_process_was_killed_is_found_by_the_coordinator(
    store: Store, dispatcher: RecordingDispatcher
) -> None:
    killed, living = Processor(store, dispatcher, background=Killed()), Processor(store, dispatcher)
    plan_id = killed.register(compile_plan(graph(SHAPE)))
    batch = [a_submit(plan_id) for _ in range(150)]

    answers = killed.execute_all(batch)
    assert all(answer.created for answer in answers)
    assert not dispatcher.sent
    ResendService(store, living, dispatcher, stranded_after=timedelta(0)).run_once()

    assert sorted(each.run_id for each in dispatcher.sent) == sorted(run.run_id for run in batch)


class Killed(Background):
    """The background of a process that was killed before it came to it."""

    def do(self, work: Callable[[], object]) -> None:
        """Never do it."""


def test_what_the_broker_does_not_take_is_ready_again(store: Store, dispatcher: RecordingDispatcher) -> None:
    background, dispatcher.is_down = Background(), True
    processor = Processor(store, dispatcher, background=background)
    plan_id = processor.register(compile_plan(graph(SHAPE)))
    batch = [a_submit(plan_id) for _ in range(150)]

    processor.execute_all(batch)
    background.close()

    assert {states(store, run.run_id)["a"] for run in batch[:3]} == {"ready"}

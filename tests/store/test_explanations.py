"""What explanations read: a fixed number of statements, each row by index, and the reasons that real rows give."""

from collections.abc import Callable
from datetime import timedelta
from uuid import uuid4

import pytest

from tests.support.recording import RecordingDispatcher, claim, complete, fail, graph, key, submit
from workflow_engine.engine.explainer import Explainer
from workflow_engine.engine.processor import Processor
from workflow_engine.ids import RunId, new_run_id
from workflow_engine.model.commands import CancelRun, ProcessReadiness, ReleaseSteps, StepAttempt
from workflow_engine.model.explanation import Reason
from workflow_engine.model.workers import WorkerFacts
from workflow_engine.store.transaction import Store

DIAMOND = {"a": (), "b": ("a",), "c": ("a",), "d": ("b", "c")}
STATEMENTS = 7
"""Six questions, and that they be about one moment."""


@pytest.fixture
def explainer(store: Store, processor: Processor) -> Explainer:
    return Explainer(store, processor.plan)


def reasons(explainer: Explainer, run_id: RunId) -> dict[str, str]:
    found = explainer.explain(run_id)
    assert found is not None
    return {step.step: step.reason.value for step in found.steps}


def lead(store: Store) -> None:
    with store.single() as tx:
        tx.connection.execute(
            "INSERT INTO leaders VALUES ('coordinator', 'host-1', 1, clock_timestamp(), clock_timestamp())"
        )


def serve(store: Store, *queues: str, worker: str | None = None) -> str:
    worker = worker or str(uuid4())
    with store.single() as tx:
        tx.workers.beat(worker, "w1@host", 1, WorkerFacts(queues=queues, pool="prefork", concurrency=1))
    return worker


def test_a_run_is_explained_from_its_submit_to_its_end(
    store: Store, processor: Processor, dispatcher: RecordingDispatcher, explainer: Explainer
) -> None:
    run_id = submit(processor, graph(DIAMOND))
    waiting = dict.fromkeys(["b", "c", "d"], "waits_for_parents")
    assert reasons(explainer, run_id) == {"a": "no_worker", **waiting}

    worker = serve(store, "celery")
    assert reasons(explainer, run_id)["a"] == "dispatched"

    claim(processor, message := dispatcher.take("a"), worker)
    assert reasons(explainer, run_id)["a"] == "running"

    complete(processor, message)
    claim(processor, broken := dispatcher.take("b"), worker)
    assert reasons(explainer, run_id) == {"b": "running", "c": "workers_busy", "d": "waits_for_parents"}

    fail(processor, broken, timedelta(hours=1))
    assert reasons(explainer, run_id) == {"b": "backoff", "c": "dispatched", "d": "waits_for_parents"}

    with store.single() as tx:
        tx.connection.execute("UPDATE steps SET ready_at = clock_timestamp() WHERE state = 'retrying'")
    assert reasons(explainer, run_id)["b"] == "no_coordinator"
    lead(store)
    assert reasons(explainer, run_id)["b"] == "ready"

    processor.execute(ProcessReadiness(limit=10))
    claim(processor, broken := dispatcher.take("b"), worker)
    fail(processor, broken)
    found = explainer.explain(run_id)
    assert found is not None
    assert (found.reason, found.step, found.succeeded, found.total) == (Reason.FAILED, "b", 1, 4)
    assert {step.step: step.reason.value for step in found.steps} == {
        "b": "dead_letter",
        "c": "cancelled",
        "d": "cancelled",
    }


def test_what_was_given_back_says_what_the_event_says(
    store: Store, processor: Processor, dispatcher: RecordingDispatcher, explainer: Explainer
) -> None:
    lead(store)
    run_id = submit(processor, graph({"a": ()}))
    attempts = [StepAttempt(**key(dispatcher.take("a")))]

    processor.execute(ReleaseSteps(attempts=attempts, reason="unknown here", retry_in=timedelta(hours=1)))

    found = explainer.explain(run_id)
    assert found is not None
    assert (found.reason, found.steps[0].because) == (Reason.HANDED_BACK, "unknown here")
    assert [timer.kind for timer in found.timers] == ["step_ready"]


def test_a_step_of_a_silent_worker_is_told_from_one_of_a_living_one(
    store: Store, processor: Processor, dispatcher: RecordingDispatcher
) -> None:
    run_id = submit(processor, graph({"a": ()}))
    claim(processor, dispatcher.take("a"), serve(store, "celery"))

    assert reasons(Explainer(store, processor.plan), run_id) == {"a": "running"}
    assert reasons(Explainer(store, processor.plan, lease=timedelta(0)), run_id) == {"a": "worker_silent"}


def test_what_other_runs_have_in_the_queue_is_counted_and_no_more_than_a_number_of_runs(
    store: Store, processor: Processor, dispatcher: RecordingDispatcher, explainer: Explainer
) -> None:
    flow = graph({"a": (), "b": ()}, queue="q")
    runs = [submit(processor, flow) for _ in range(3)]
    claim(processor, dispatcher.take("a"), serve(store, "q", "celery"))

    found = explainer.explain(runs[2])

    assert found is not None
    assert [(step.ahead, step.slots, step.slots_taken, step.queue) for step in found.steps] == [
        (3, 1, 1, "q"),
        (4, 1, 1, "q"),
    ]
    assert all(step.is_counted for step in found.steps)
    with store.single() as tx:
        assert not tx.explanations.loads([], limit=2).is_counted


def test_a_cancelled_run_says_who_did_it(
    processor: Processor, dispatcher: RecordingDispatcher, explainer: Explainer
) -> None:
    run_id = submit(processor, graph(DIAMOND))
    processor.execute(CancelRun(run_id=run_id, reason="enough", actor="ada"))

    found = explainer.explain(run_id)

    assert found is not None
    assert found.sentence.startswith("it was cancelled by ada (enough), after ")
    assert {step.reason for step in found.steps} == {Reason.CANCELLED}


def test_a_run_that_is_not_there_is_not_explained(explainer: Explainer) -> None:
    assert explainer.explain(new_run_id()) is None


@pytest.mark.parametrize("width", [1, 300])
def test_an_explanation_takes_the_same_statements_whatever_the_size(
    width: int,
    store: Store,
    processor: Processor,
    explainer: Explainer,
    count_statements: Callable[[], int],
) -> None:
    names = [f"s{number}" for number in range(width)]
    run_id = submit(processor, graph({**dict.fromkeys(names, ()), "end": tuple(names)}))
    count_statements()

    found = explainer.explain(run_id)

    assert count_statements() == STATEMENTS
    assert found is not None
    assert (found.total, len(found.steps), found.is_complete) == (width + 1, width + 1, True)


def test_several_runs_are_explained_in_brief_by_as_many_statements_as_one(
    store: Store, processor: Processor, explainer: Explainer, count_statements: Callable[[], int]
) -> None:
    flow = graph(DIAMOND)
    runs = [submit(processor, flow) for _ in range(5)]
    count_statements()

    with store.single() as tx:
        found = explainer.brief(tx, runs)

    assert count_statements() == STATEMENTS - 1  # they are not about one moment
    assert {run_id: (each.reason, each.step) for run_id, each in found.items()} == dict.fromkeys(
        runs, (Reason.NO_WORKER, "a")
    )

"""Runs that stand still are found by one bounded query and told of once; what waits or is at work is not among them."""

from collections.abc import Callable
from datetime import timedelta
from uuid import uuid4

import pytest

from tests.support.recording import RecordingDispatcher, claim, complete, event_names, fail, graph, key, submit
from workflow_engine import DefinitionError, Workflow, compile_plan
from workflow_engine.client.client import WorkflowClient
from workflow_engine.engine.explainer import Explainer
from workflow_engine.engine.processor import Processor
from workflow_engine.engine.stale_runs import StaleRuns
from workflow_engine.engine.stale_watch import StaleWatch
from workflow_engine.ids import RunId
from workflow_engine.model.commands import ProcessReadiness, ReleaseSteps, StepAttempt
from workflow_engine.model.explanation import Reason
from workflow_engine.plan.plan import Plan
from workflow_engine.store.standstills import StandstillQuestion
from workflow_engine.store.transaction import Store

CHAIN = {"a": (), "b": ("a",)}
SHORT = timedelta(seconds=0.2)
"""A limit that the server, whose start counts as a move, has been up for."""


@pytest.fixture
def stale(store: Store, processor: Processor) -> StaleRuns:
    return StaleRuns(store, Explainer(store, processor.plan), limit=SHORT)


def found(stale: StaleRuns) -> list[RunId]:
    return [run.run_id for run in stale.page(namespace="default", limit=100)[0]]


def a_day_passes(store: Store) -> None:
    """Make all that happened so far a day older, and what is due later due a day sooner."""
    with store.transaction() as tx:
        tx.connection.execute("SET LOCAL session_replication_role = replica")  # the event log takes no change
        for table, columns in {
            "steps": ["ready_at", "dispatched_at", "started_at", "finished_at", "released_since"],
            "runs": ["created_at", "started_at", "scheduled_at", "retried_at"],
            "workers": ["heartbeat_at"],
            "events": ["occurred_at"],
        }.items():
            moved = ", ".join(f"{column} = {column} - interval '1 day'" for column in columns)
            tx.connection.execute(f"UPDATE {table} SET {moved}".encode())


def serve(store: Store, worker: str) -> None:
    with store.single() as tx:
        tx.workers.beat(worker, "w1@host", 1)


def test_a_run_of_which_nothing_moves_is_found_with_the_reason(
    store: Store, processor: Processor, stale: StaleRuns
) -> None:
    run_id = submit(processor, graph(CHAIN))
    a_day_passes(store)

    (run,), following = stale.page(namespace="default", limit=100)

    assert following is None
    assert (run.run_id, run.reason, run.step, run.limit, run.is_stale) == (run_id, Reason.NO_WORKER, "a", SHORT, True)
    assert stale.page(namespace="elsewhere", limit=100) == ([], None)


def test_a_run_that_has_just_moved_is_not(store: Store, processor: Processor, dispatcher: RecordingDispatcher) -> None:
    submit(processor, graph(CHAIN))
    a_day_passes(store)
    claim(processor, message := dispatcher.take("a"))
    complete(processor, message)

    assert found(StaleRuns(store, Explainer(store, processor.plan), limit=timedelta(days=0.9))) == []


def test_a_declared_wait_is_not_and_nor_is_what_a_living_worker_runs(
    store: Store, processor: Processor, dispatcher: RecordingDispatcher, stale: StaleRuns
) -> None:
    worker = str(uuid4())
    running, waiting = submit(processor, graph(CHAIN)), submit(processor, graph({"w": ()}))
    claim(processor, dispatcher.take("a"), worker)
    claim(processor, message := dispatcher.take("w"), worker)
    fail(processor, message, timedelta(days=1.5))
    a_day_passes(store)
    serve(store, worker)

    assert found(stale) == []

    a_day_passes(store)  # the worker is silent, the delay is over
    assert sorted(found(stale)) == sorted([running, waiting])


def test_a_paused_run_and_a_suspended_step_are_not(store: Store, processor: Processor, stale: StaleRuns) -> None:
    for change in ("UPDATE runs SET state = 'paused'", "UPDATE steps SET state = 'suspended' WHERE position = 0"):
        submit(processor, graph(CHAIN))
        with store.transaction() as tx:
            tx.connection.execute("SET LOCAL session_replication_role = replica")  # nothing leads there yet
            tx.connection.execute(change.encode())
    a_day_passes(store)

    assert found(stale) == []


def test_what_goes_to_and_fro_stands_still_since_it_was_first_handed_out(
    store: Store, processor: Processor, dispatcher: RecordingDispatcher, stale: StaleRuns
) -> None:
    run_id = submit(processor, graph(CHAIN))
    a_day_passes(store)
    for _ in range(3):
        attempts = [StepAttempt(**key(dispatcher.take("a")))]
        processor.execute(ReleaseSteps(attempts=attempts, reason="unknown here", retry_in=timedelta(0)))
        assert found(stale) == [run_id]
        processor.execute(ProcessReadiness(limit=10))
        assert found(stale) == [run_id]

    claim(processor, dispatcher.take("a"), worker := str(uuid4()))
    serve(store, worker)
    assert found(stale) == []


def test_a_standstill_is_told_of_once_and_the_next_one_again(
    store: Store, processor: Processor, dispatcher: RecordingDispatcher, stale: StaleRuns
) -> None:
    watch = StaleWatch(stale, processor)
    run_id = submit(processor, graph(CHAIN))
    a_day_passes(store)

    for _ in range(3):
        watch.run_once()
    assert event_names(store, run_id)["run.stale", None] == 1
    assert watch.numbers == [(1, {"level": "stale"}), (0, {"level": "warning"})]

    claim(processor, message := dispatcher.take("a"), worker := str(uuid4()))
    serve(store, worker)
    watch.run_once()
    assert watch.numbers[0][0] == 0
    complete(processor, message)
    with store.single() as tx:
        tx.connection.execute("SELECT pg_sleep(0.3)")
    for _ in range(3):
        watch.run_once()
    assert event_names(store, run_id)["run.stale", None] == 2


def test_a_look_is_one_query_and_goes_on_where_the_last_one_ended(
    store: Store, processor: Processor, stale: StaleRuns, count_statements: Callable[[], int]
) -> None:
    runs = [submit(processor, graph({"a": ()})) for _ in range(5)]
    a_day_passes(store)
    wanted = StandstillQuestion(limit=SHORT, lease=timedelta(seconds=15), part=0.8)
    count_statements()

    with store.single() as tx:
        first = tx.standstills.find(wanted, limit=10, looked=3)
        second = tx.standstills.find(wanted, limit=10, looked=3, after=first.following)
        short = tx.standstills.find(wanted, limit=2)

    assert count_statements() == 3
    assert [each.run_id for each in [*first.found, *second.found]] == runs
    assert second.following is None
    assert short.following == (short.found[-1].created_at, runs[1])
    stale.look(None)
    assert count_statements() == 1
    stale.page(namespace="default", limit=50)
    assert count_statements() == 7


def test_the_limit_of_a_workflow_wins_and_at_80_percent_there_is_a_warning(
    store: Store, processor: Processor, stale: StaleRuns
) -> None:
    submit(processor, graph(CHAIN, stale_after=timedelta(days=30)))
    a_day_passes(store)

    assert found(stale) == []
    with store.single() as tx:
        (row,) = tx.connection.execute(
            "SELECT extract(epoch FROM clock_timestamp() - pg_postmaster_start_time())::float AS seconds"
        ).fetchall()
    almost = StaleRuns(store, Explainer(store, processor.plan), limit=timedelta(seconds=row.seconds / 0.85))
    submit(processor, graph(CHAIN))
    a_day_passes(store)
    assert [run.is_stale for run in almost.page(namespace="default", limit=10)[0]] == [False]


@pytest.mark.parametrize("limit", [0, 0.5, -1, 30 * 86_400 + 1, float("nan"), True, "1h"])
def test_a_limit_that_cannot_be_is_refused(limit: object) -> None:
    with pytest.raises(DefinitionError, match="workflow 'w': stale_after must be "):
        Workflow("w", stale_after=limit)  # type: ignore[arg-type]


def test_a_plan_says_its_limit_only_if_it_has_one() -> None:
    without, limited = compile_plan(graph(CHAIN)), compile_plan(graph(CHAIN, stale_after=60))

    assert "stale_after" not in without.as_json()
    assert limited.as_json()["stale_after"] == 60.0
    assert without.digest != limited.digest
    again = Plan.from_json(limited.as_json(), namespace="default", workflow=limited.workflow, version="1")
    assert again == limited


def test_the_client_pages_through_them(store: Store, processor: Processor, stale: StaleRuns) -> None:
    client = WorkflowClient.__new__(WorkflowClient)
    client._stale, client._namespace = stale, "default"
    runs = [submit(processor, graph({"a": ()})) for _ in range(3)]
    a_day_passes(store)

    first, place = client.stale_runs(limit=2)
    rest, end = client.stale_runs(limit=2, after=place)

    assert [run.run_id for run in [*first, *rest]] == runs
    assert end is None

"""What the spans of runs tell beyond the events at hand."""

from collections.abc import Callable
from uuid import uuid4

import pytest

from workflow_engine import Workflow, compile_plan
from workflow_engine.engine.processor import Processor
from workflow_engine.ids import RunId, new_run_id
from workflow_engine.model.commands import CancelRun, SubmitRun
from workflow_engine.model.run_options import RunOptions
from workflow_engine.store.overviews import run_overviews
from workflow_engine.store.transaction import Store

SUBMITTER = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@pytest.fixture
def submit(processor: Processor) -> Callable[..., RunId]:
    """Submit a run of two roots and a sink."""

    def run(width: int = 2, traceparent: str | None = None) -> RunId:
        workflow = Workflow(f"overview{width}")
        roots = [workflow.step(name=f"root{number:03}")(print) for number in range(width)]
        workflow.step(name="sink", after=roots)(print)
        command = SubmitRun(
            run_id=new_run_id(),
            plan_id=processor.register(compile_plan(workflow)),
            input="null",
            input_digest="",
            options=RunOptions(traceparent=traceparent),
        )
        processor.execute(command)
        return command.run_id

    return run


def test_an_overview_has_the_submitters_trace_and_the_steps_by_state(
    store: Store, submit: Callable[..., RunId]
) -> None:
    run = submit(traceparent=SUBMITTER)

    with store.single() as tx:
        overview = run_overviews(tx, [run], whole=[run])[run]

    assert overview.traceparent == SUBMITTER
    assert overview.steps == {"dispatched": ["root000", "root001"], "waiting": ["sink"]}
    assert overview.counts == {"dispatched": 2, "waiting": 1}
    assert overview.notes == []


def test_an_overview_notes_what_befell_the_run(
    store: Store, processor: Processor, submit: Callable[..., RunId]
) -> None:
    run = submit()
    processor.execute(CancelRun(run_id=run, reason="customer withdrew"))

    with store.single() as tx:
        overview = run_overviews(tx, [run], whole=[run])[run]

    (note,) = overview.notes
    assert (note.name, note.step, note.data["reason"]) == ("run.cancelling", None, "customer withdrew")
    assert overview.counts == {"cancelled": 3}


def test_only_what_is_asked_of_a_run_is_read(store: Store, submit: Callable[..., RunId]) -> None:
    whole, joined = submit(), submit(traceparent=SUBMITTER)

    with store.single() as tx:
        overviews = run_overviews(tx, [whole, joined, RunId(str(uuid4()))], whole=[whole])

    assert set(overviews) == {whole, joined}
    assert overviews[joined].traceparent == SUBMITTER
    assert overviews[joined].steps == {}
    assert overviews[whole].steps != {}


def test_of_a_wide_run_the_first_hundred_names_are_told_and_all_are_counted(
    store: Store, submit: Callable[..., RunId]
) -> None:
    run = submit(width=150)

    with store.single() as tx:
        overview = run_overviews(tx, [run], whole=[run])[run]

    assert overview.steps["dispatched"] == [f"root{number:03}" for number in range(100)]
    assert overview.counts["dispatched"] == 150


def test_overviews_of_many_runs_are_one_query(
    store: Store, submit: Callable[..., RunId], count_statements: Callable[[], int]
) -> None:
    runs = [submit() for _ in range(5)]
    count_statements()

    with store.single() as tx:
        run_overviews(tx, runs, whole=runs)

    assert count_statements() == 1

"""Random graphs give the same results on the engine, in process, and as Celery's own canvas."""

from collections.abc import Iterator

import pytest
from celery import Celery
from celery._state import get_current_app

from tests.fixtures.stages import StageMaker
from tests.support.processes import Stage, count_completions
from tests.support.random_dags import WORKFLOWS
from workflow_engine import Workflow, compile_plan
from workflow_engine.celery_app.signatures import canvas_results, register_canvas_tasks
from workflow_engine.definitions.registry import Registry
from workflow_engine.testing import run_inline

INPUT = {"start": 7}


@pytest.fixture
def canvas_app() -> Iterator[Celery]:
    """A current app, as in a worker: the parts of a nested canvas ask for it."""
    before = get_current_app()
    app = Celery("canvas", broker="memory://", backend="cache+memory://", set_as_current=False)
    app.conf.update(task_always_eager=True, task_eager_propagates=True)
    register_canvas_tasks(app, Registry(WORKFLOWS))
    app.set_current()
    yield app
    before.set_current()


@pytest.fixture(scope="module")
def stage(new_stage: StageMaker) -> Stage:
    with new_stage() as made:
        made.start_worker("-c2", app="tests.acceptance.random_app")
        yield made


def as_canvas(workflow: Workflow, app: Celery) -> dict[str, object]:
    canvas = app.signature(compile_plan(workflow).canvas(INPUT))
    return canvas_results(canvas.apply().get())


def test_in_process_and_canvas_agree_on_three_hundred_graphs(canvas_app: Celery) -> None:
    for workflow in WORKFLOWS:
        assert as_canvas(workflow, canvas_app) == run_inline(workflow, INPUT).results, workflow.name


def test_the_engine_agrees_on_three_hundred_graphs(stage: Stage) -> None:
    runs = {workflow.name: stage.submit(workflow, INPUT) for workflow in WORKFLOWS}

    for workflow in WORKFLOWS:
        run = runs[workflow.name].wait(timeout=60)
        assert run.state == "succeeded"
        steps = {step.name: step.result for step in run.steps()}
        assert steps == run_inline(workflow, INPUT).results, workflow.name
        assert run.result == run_inline(workflow, INPUT).result
        assert count_completions(run) == dict.fromkeys(steps, 1)

"""The canvas tasks of an app run that app's own workflows."""

from celery import Celery

from workflow_engine import StepContext, Workflow
from workflow_engine.celery_app.signatures import CANVAS_STEP, register_canvas_tasks
from workflow_engine.definitions.registry import Registry

PLAN = ("default", "greets", "1")


def app_with(answer: str) -> Celery:
    """Return an app with the workflow ``greets``, whose step answers so."""
    app = Celery(answer, broker="memory://", set_as_current=False)
    workflow = Workflow("greets")

    @workflow.step
    def greet(_context: StepContext) -> str:
        return answer

    register_canvas_tasks(app, Registry([workflow]))
    return app


def test_a_later_app_runs_its_own_workflows() -> None:
    first, second = app_with("good morning"), app_with("good evening")

    answers = [app.tasks[CANVAS_STEP](workflow=PLAN, step="greet", value=None) for app in (first, second)]

    assert answers == [{"greet": "good morning"}, {"greet": "good evening"}]

"""Celery's view of steps, in a worker's main process."""

from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import pytest
from celery import Celery
from celery.worker import state as worker_state

from workflow_engine.celery_app.app import create_app
from workflow_engine.celery_app.kept_steps import KeptSteps, Notice
from workflow_engine.celery_app.messages import HEADER, OTHERS, STEP_TASK
from workflow_engine.celery_app.task import StepRequest, StepTask

RUN = str(uuid4())


class OurTask(StepTask):
    """The step task of a worker that runs nothing."""


@pytest.fixture(params=[True, False], ids=["processes", "greenlets"])
def of_processes(request: pytest.FixtureRequest) -> bool:
    made: bool = request.param
    return made


@pytest.fixture
def app(of_processes: bool) -> Iterator[Celery]:
    app = create_app("memory://", "postgresql://nobody@127.0.0.1:1/none", "main")
    OurTask.kept_steps = KeptSteps()
    OurTask.kept_steps.open(of_processes=of_processes)
    app.register_task(OurTask())
    yield app
    worker_state.reset_state()


class Message:
    """A step's message as kombu hands it over, and what becomes of it."""

    def __init__(self, **headers: Any) -> None:
        self.headers = {"id": "first", "task": STEP_TASK, HEADER: [1, RUN, 0, 1], "lang": "py", **headers}
        self.body, self.content_type, self.content_encoding = b"[[], {}, {}]", "application/json", "utf-8"
        self.delivery_info: dict[str, Any] = {}
        self.properties: dict[str, Any] = {}
        self.payload = [[], {}, {}]
        self.became: list[tuple[str, bool]] = []

    def request(self, app: Celery) -> StepRequest:
        return StepRequest(
            self,
            app=app,
            task=app.tasks[STEP_TASK],
            hostname="here",
            connection_errors=(),
            on_ack=lambda *_: self.became.append(("acknowledged", False)),
            on_reject=lambda _log, _errors, requeue: self.became.append(("rejected", requeue)),
        )


def go_on(request: StepRequest) -> StepRequest:
    """Hear that the request's step has ended and another one begins; return that one's request."""
    begun = {"id": "kept", "shadow": "w.kept", "argsrepr": "", "root_id": RUN, HEADER: [1, RUN, 1, 1]}
    request.go_on(Notice(1, request.id, 1.0, ("task-succeeded", {}), begun))
    request.keep_pending()
    assert request.kept is not None
    return request.kept


def test_only_processes_have_celery_keep_the_time_limits_of_a_message(app: Celery, of_processes: bool) -> None:
    request = Message(timelimit=[15, 10]).request(app)

    assert list(request.time_limits) == ([15, 10] if of_processes else [None, None])


def test_a_line_that_ended_without_a_word_comes_again_and_leaves_no_request(app: Celery) -> None:
    message = Message()
    request = message.request(app)
    worker_state.task_reserved(request)
    kept = go_on(request)

    request.acknowledge()

    assert message.became == [("rejected", True)]
    assert kept.id not in worker_state.requests
    assert kept not in worker_state.active_requests


def test_a_line_that_said_how_it_ended_is_acknowledged(app: Celery) -> None:
    message = Message()
    request = message.request(app)
    kept = go_on(request)
    request.go_on(Notice(1, request.id, 2.0, ("task-succeeded", {}), None))

    request.acknowledge()

    assert message.became == [("acknowledged", False)]
    assert kept.id not in worker_state.requests


def test_a_kept_step_does_not_carry_the_others_of_the_message(app: Celery) -> None:
    kept = go_on(Message(**{OTHERS: [2, 3]}).request(app))

    assert kept._request_dict[OTHERS] is None
    assert kept.attempt.position == 1

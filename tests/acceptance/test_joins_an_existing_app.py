"""``install(app)`` makes an existing Celery app run steps, and changes nothing of what it was."""

from collections.abc import Iterator
from types import SimpleNamespace

import pytest
from celery.backends.redis import RedisBackend
from celery.backends.rpc import RPCBackend

from tests.acceptance import their_app
from tests.fixtures.stages import StageMaker
from tests.support.matrix import is_rabbitmq
from tests.support.processes import Stage, event_names, states


@pytest.fixture(scope="module")
def theirs(new_stage: StageMaker) -> Iterator[SimpleNamespace]:
    """A stage whose worker is `celery -A theirs worker`, and the same app in this process."""
    with new_stage() as stage, pytest.MonkeyPatch.context() as environment:
        variables = {"THEIR_BROKER": stage.broker_url, "THEIR_QUEUE": stage.settings.queue}
        for name, value in variables.items():
            environment.setenv(name, value)
        stage.start_coordinator()
        stage.start_worker("-c2", app="tests.acceptance.their_app", **variables)
        made = their_app.create(stage.settings)
        yield SimpleNamespace(stage=stage, client=made.engine.client, **vars(made))
        made.engine.close()


def test_their_tasks_and_their_result_backend_work_as_before(theirs: SimpleNamespace) -> None:
    kind = RPCBackend if is_rabbitmq(theirs.stage.broker_url) else RedisBackend
    assert isinstance(theirs.app.backend, kind)
    assert theirs.add.apply_async((2, 3)).get(timeout=20) == 5
    assert theirs.whoami.delay().get(timeout=20) == "theirs.whoami"
    assert theirs.asks_again.delay("plain", 1).get(timeout=20) == 2
    assert (theirs.add.s(1, 2) | theirs.multiply.s(by=4)).apply_async().get(timeout=20) == 12


def test_their_tasks_are_steps_as_they_are(theirs: SimpleNamespace) -> None:
    run = theirs.client.submit(theirs.workflow, {"x": 2, "y": 3}).wait(timeout=20)

    assert {step.name: step.result for step in run.steps()} == {
        "add": 5,
        "add_ten": 12,
        "multiply": 60,
        "scale": 100,
        "whoami": "theirs.whoami",
    }
    assert run.result == {"scale": 100, "whoami": "theirs.whoami"}


def test_a_task_that_asks_to_be_tried_again_is_without_occupying_a_worker(theirs: SimpleNamespace) -> None:
    run = theirs.client.submit("asking", 2).wait(timeout=20)

    attempts = {step.name: step.attempt for step in run.steps()}
    assert attempts == {"asks_again": 3, "retried": 3, "ours": 1}
    assert states(run)["ours"] == "failed"  # the step's own policy wins where it has one
    delays = [event.data["delay_seconds"] for event in run.events() if event.name == "step.retrying"]
    assert delays == [pytest.approx(0.2)] * 4
    assert {event.data["error_class"] for event in run.events() if event.name == "step.retrying"} == {"ConnectionError"}


def test_a_task_that_asks_too_often_fails_with_its_own_error(theirs: SimpleNamespace) -> None:
    run = theirs.client.submit("asking", 99).wait(timeout=20)

    assert run.state == "failed"
    errors = {step.name: step.error["error_class"] for step in run.steps() if step.error}
    assert set(errors.values()) == {"ConnectionError"}


def test_their_worker_is_seen_and_its_steps_tell_who_ran_them(theirs: SimpleNamespace) -> None:
    stage: Stage = theirs.stage
    run = theirs.client.submit(theirs.workflow, {"x": 2, "y": 3}).wait(timeout=20)

    (worker,) = stage.rows("SELECT name FROM workers")
    assert {step.worker for step in run.steps()} == {worker.name}
    assert event_names(run)[-1] == "run.succeeded"

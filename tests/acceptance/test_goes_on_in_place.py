"""The process that completes a step goes on with what it set free: without a message, and as if there had been one."""

from collections.abc import Iterator
from threading import Event

import pytest
from celery import Celery

from tests.acceptance import onward_flows as flows
from tests.fixtures.stages import StageMaker
from tests.support.checker import check
from tests.support.processes import Stage, count_completions, event_names, wait_until
from tests.support.task_events import TaskEvents
from workflow_engine import RunHandle

APP = "tests.acceptance.onward_app"
LIFE = ["step.dispatched", "step.started", "step.completed"]


@pytest.fixture
def line_stage(lonely_stage: Stage) -> Stage:
    """A stage with a worker of one process and no coordinator: whatever is lost, nobody looks for it."""
    lonely_stage.start_worker("-c1", "-E", app=APP)
    return lonely_stage


@pytest.fixture
def together_stage(new_stage: StageMaker) -> Iterator[Stage]:
    """A stage where short siblings stay together, with a worker of one process."""
    with new_stage() as made:
        made.start_worker("-c1", app=APP)
        yield made
        check(made)


@pytest.fixture(scope="module")
def without(new_stage: StageMaker) -> Iterator[Stage]:
    """A stage whose worker sends every step."""
    with new_stage(kept_steps=0) as made:
        made.start_worker("-c2", app=APP)
        yield made
        check(made)


def received(stage: Stage, run: RunHandle) -> int:
    """Return how many messages of a run the workers have taken."""
    logs = (worker.log.read_text() for worker in stage.workers)
    return sum(line.count(" received") for log in logs for line in log.splitlines() if run.id in line)


def signals_of(stage: Stage, run: RunHandle, step: str) -> list[str]:
    """Return Celery's signals of a step's task, in order."""
    notes = (stage.folder / "signals").read_text().splitlines()
    return [note.split()[0] for note in notes if note.endswith(f" {run.id}.{step}.1")]


def test_a_chain_is_one_message(line_stage: Stage) -> None:
    run = line_stage.submit(flows.line, {"seen": []}).wait(timeout=20)

    assert run.state == "succeeded"
    assert received(line_stage, run) == 1
    assert all(event_names(run, step=f"link{number}") == LIFE for number in range(4))


def test_where_no_step_is_kept_each_is_a_message(without: Stage) -> None:
    run = without.submit(flows.line, {"seen": []}).wait(timeout=20)

    assert (run.state, received(without, run)) == ("succeeded", 4)


def test_a_kept_step_sees_nothing_of_what_another_did_to_its_input_and_results(line_stage: Stage) -> None:
    run = line_stage.submit(flows.line, {"seen": []}).wait(timeout=20)

    assert [step.result for step in run.steps()] == [[f"link{number}"] for number in range(4)]


def test_a_kept_steps_task_is_told_of_in_task_events(line_stage: Stage) -> None:
    with TaskEvents(line_stage) as told:
        run = line_stage.submit(flows.line, {"seen": []}).wait(timeout=20)
        last = f"{run.id}.link3.1"
        wait_until(lambda: "task-succeeded" in told.of(last), why="the last task's event came")

    for number in range(4):
        task = f"{run.id}.link{number}.1"
        assert told.of(task) == ["task-received", "task-started", "task-succeeded"]
        assert told.names[task] == f"line.link{number}"
        assert told.roots[task] == run.id


def test_celerys_signals_are_sent_for_kept_steps(line_stage: Stage) -> None:
    run = line_stage.submit(flows.line, {"seen": []}).wait(timeout=20)
    wait_until(lambda: len(signals_of(line_stage, run, "link3")) == 2, why="the last signal was noted")

    for number in range(4):
        assert signals_of(line_stage, run, f"link{number}") == ["prerun", "postrun-SUCCESS"]


@pytest.mark.prefork
def test_a_process_killed_in_a_kept_step_loses_and_doubles_nothing(lonely_stage: Stage) -> None:
    lonely_stage.start_coordinator()
    lonely_stage.start_worker("-c2", app=APP)

    run = lonely_stage.submit(flows.unlucky, {"how": "kill"}).wait(timeout=20)

    assert run.result == {"end": 3}
    assert event_names(run, step="begin") == LIFE
    assert event_names(run, step="meet") == [*LIFE[:2], "step.lost", *LIFE]
    assert [call.attempt for call in lonely_stage.traced(run, "meet")] == [1, 2]


def test_short_siblings_share_a_message_once_it_is_known_that_they_are_short(together_stage: Stage) -> None:
    first = together_stage.submit(flows.brood).wait(timeout=20)
    second = together_stage.submit(flows.brood).wait(timeout=20)

    assert first.result == second.result == {"count": flows.COUNTED}
    assert received(together_stage, second) == 1
    assert received(together_stage, first) > 1


@pytest.mark.prefork
def test_siblings_whose_process_was_killed_before_their_turn_run_all_the_same(together_stage: Stage) -> None:
    together_stage.submit(flows.brood).wait(timeout=20)
    together_stage.start_coordinator()

    run = together_stage.submit(flows.brood, "kill").wait(timeout=20)

    assert run.result == {"count": flows.COUNTED}
    assert set(count_completions(run).values()) == {1}
    assert event_names(run, "step.lost") == ["step.lost"]


def test_a_sibling_that_takes_long_after_all_does_not_hold_up_those_behind_it(together_stage: Stage) -> None:
    together_stage.submit(flows.brood).wait(timeout=20)
    together_stage.start_worker("-c1", app=APP)

    run = together_stage.submit(flows.brood, "tarry")
    others = {"hatch", *(f"chick{number}" for number in range(flows.WIDTH))} - {"chick5"}
    wait_until(lambda: count_completions(run).keys() == others, why="the others have run")
    together_stage.open_gate(run.id)

    assert run.wait(timeout=20).result == {"count": flows.COUNTED}
    assert set(count_completions(run).values()) == {1}


def test_siblings_are_sent_one_by_one_where_they_are_not_kept(new_stage: StageMaker) -> None:
    with new_stage(kept_siblings=False) as stage:
        stage.start_worker("-c1", app=APP)
        stage.submit(flows.brood).wait(timeout=20)
        run = stage.submit(flows.brood).wait(timeout=20)

        assert run.result == {"count": flows.COUNTED}
        assert received(stage, run) == flows.WIDTH  # one goes on in place, and so does the join


def test_a_siblings_failure_does_not_hold_up_the_others_behind_it(together_stage: Stage) -> None:
    together_stage.submit(flows.brood).wait(timeout=20)

    run = together_stage.submit(flows.brood, "fail").wait(timeout=20)

    assert run.state == "failed"
    assert run.error is not None
    assert run.error["message"] == "chick5 fell"


@pytest.mark.prefork
@pytest.mark.parametrize("how", ["listening", "deaf"])
def test_a_kept_step_has_its_own_time_limit(line_stage: Stage, how: str) -> None:
    run = line_stage.submit(flows.timed, how).wait(timeout=20)

    assert run.state == "failed"
    assert run.error is not None
    assert (run.error["step"], run.error["error_class"]) == ("late", "StepTimeout")
    assert event_names(run, step="early") == LIFE
    assert received(line_stage, run) <= 2  # it may come again, and does nothing then


@pytest.mark.prefork
def test_a_kept_step_can_be_terminated_as_any_task(line_stage: Stage) -> None:
    run = line_stage.submit(flows.unlucky, {"how": "gate"})
    line_stage.wait_for_call(run, "meet")
    app = Celery(broker=line_stage.settings.broker_url)

    active = app.control.inspect(timeout=5).active()
    app.control.revoke(f"{run.id}.meet.1", terminate=True)

    assert [task["id"] for tasks in active.values() for task in tasks if task["id"].startswith(run.id)] != []
    assert f"{run.id}.meet.1" in [task["id"] for tasks in active.values() for task in tasks]
    assert run.wait(timeout=20).state == "failed"
    assert run.error is not None
    assert run.error["step"] == "meet"
    assert run.error["error_class"] in {"Revoked", "HandlerExited"}  # whoever is first, as with any task


@pytest.mark.slow
def test_a_kept_step_that_takes_long_is_left_alone(new_stage: StageMaker) -> None:
    with new_stage(lease_seconds=30) as stage:
        stage.start_worker("-c1", app=APP, STAGE_SETTLED_SECONDS="1")
        stage.start_coordinator()
        run = stage.submit(flows.unlucky, {"how": "gate"})
        stage.wait_for_call(run, "meet")

        Event().wait(4.5)  # several looks for what is claimed and does not run, and for what runs and is not ours
        stage.open_gate("met")

        assert run.wait(timeout=20).result == {"end": 3}
        assert event_names(run, "step.lost") == []
        check(stage)

"""A cancelled run starts nothing more and comes to rest, whenever the request comes."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.acceptance import flows
from tests.support.checker import check
from tests.support.processes import Stage, event_names, states, wait_for_all, wait_until
from workflow_engine import RunNotFound


def test_a_run_cancelled_before_it_began_never_begins(lonely_stage: Stage) -> None:
    stage = lonely_stage
    run = stage.submit(flows.diamond, {"n": 1})

    assert run.cancel("not needed", actor="ada")

    assert run.state == "cancelled"
    assert set(states(run).values()) == {"cancelled"}
    (cancelling,) = [event for event in run.events() if event.name == "run.cancelling"]
    assert cancelling.data == {"reason": "not needed", "actor": "ada", "running_steps": 0}
    stage.start_worker("-c1")
    stage.submit(flows.diamond, {"n": 1}).wait(timeout=20)  # it comes after the message of the cancelled one
    assert stage.traced(run) == []


def test_a_running_handler_hears_of_it_at_its_next_heartbeat(running: Stage) -> None:
    run = running.submit(flows.gated, {"gate": "never opened"})
    running.wait_for_call(run, "hold")

    assert run.cancel()

    assert run.wait(timeout=20).state == "cancelled"
    assert states(run) == {"hold": "cancelled", "follow": "cancelled"}
    assert event_names(run)[-3:] == ["step.cancelled", "step.cancelled", "run.cancelled"]


def test_a_handler_that_does_not_ask_may_finish_but_nothing_follows(running: Stage) -> None:
    run = running.submit(flows.deaf, {"gate": "deaf"})
    running.wait_for_call(run, "ignore")

    run.cancel()
    assert run.state == "cancelling"
    running.open_gate("deaf")

    assert run.wait(timeout=20).state == "cancelled"
    assert states(run) == {"ignore": "succeeded", "never": "cancelled"}


def test_cancelling_twice_is_cancelling_once(running: Stage) -> None:
    run = running.submit(flows.deaf, {"gate": "twice"})
    running.wait_for_call(run, "ignore")

    assert [run.cancel(), run.cancel()] == [True, True]
    running.open_gate("twice")
    run.wait(timeout=20)

    assert event_names(run).count("run.cancelling") == 1
    assert run.cancel() is False


def test_a_run_that_has_ended_stays_as_it_is(running: Stage) -> None:
    run = running.submit(flows.diamond, {"n": 1}).wait(timeout=20)
    told = run.events()

    assert run.cancel() is False

    assert run.state == "succeeded"
    assert run.events() == told


def test_a_step_that_waits_to_be_tried_again_is_cancelled_at_once(running: Stage) -> None:
    run = running.submit(flows.patient)
    wait_until(lambda: states(run)["later"] == "retrying")

    run.cancel()

    assert run.state == "cancelled"


def test_a_run_that_does_not_exist_cannot_be_cancelled(running: Stage) -> None:
    with pytest.raises(RunNotFound):
        running.client.run("01a1fc00-0000-7000-8000-000000000000").cancel()


def test_cancelling_while_steps_complete_leaves_no_run_half_way(lonely_stage: Stage) -> None:
    stage = lonely_stage
    stage.start_coordinator()
    stage.start_worker("-c3")
    runs = stage.client.submit_many(flows.crashing, [None] * 20)

    def cancel_midway(number: int) -> bool:
        wait_until(lambda: len(stage.traced(runs[number])) > number % 4)
        return runs[number].cancel()

    with ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(cancel_midway, range(20)))

    ended = wait_for_all(runs)
    assert ended == ["cancelled" if cancelled else "succeeded" for cancelled in answers]
    assert check(stage) == 20

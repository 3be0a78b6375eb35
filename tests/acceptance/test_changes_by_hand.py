"""Pause, resume, resolve, rerun and a cancel's grace, with real workers and while steps complete."""

from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import pytest

from tests.acceptance import flows
from tests.support.checker import check
from tests.support.processes import Stage, event_names, states, wait_for_all, wait_until
from workflow_engine import RunEnded, WrongState


@pytest.mark.ends_handlers
def test_a_deaf_handler_is_stopped_after_its_grace_and_gives_its_place_back(lonely_stage: Stage) -> None:
    stage = lonely_stage
    stage.start_coordinator()
    stage.start_worker("-c1")
    run = stage.submit(flows.deaf, {"gate": "never opened"})
    stage.wait_for_call(run, "ignore")

    assert run.cancel("enough", grace=0.1)

    assert run.wait(timeout=20).state == "cancelled"
    assert states(run) == {"ignore": "cancelled", "never": "cancelled"}
    # Its only process is busy with the handler until that is killed.
    assert stage.submit(flows.diamond, {"n": 1}).wait(timeout=30).state == "succeeded"
    assert check(stage) == 2


def test_pausing_and_resuming_while_steps_complete_loses_and_doubles_nothing(lonely_stage: Stage) -> None:
    stage = lonely_stage
    stage.start_coordinator()
    stage.start_worker("-c3")
    runs = stage.client.submit_many(flows.crashing, [None] * 20)

    def hold_up(number: int) -> None:
        wait_until(lambda: len(stage.traced(runs[number])) > number % 4)
        with suppress(RunEnded):
            run = runs[number]
            run.pause()
            run.resume()

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(hold_up, range(20)))

    assert set(wait_for_all(runs)) == {"succeeded"}
    assert check(stage) == 20


def test_a_step_that_is_resolved_while_it_completes_has_one_result(lonely_stage: Stage) -> None:
    stage = lonely_stage
    stage.start_coordinator()
    stage.start_worker("-c3")
    runs = stage.client.submit_many(flows.crashing, [None] * 20)

    def resolve(number: int) -> bool:
        wait_until(lambda: len(stage.traced(runs[number])) > number % 3)
        with suppress(WrongState, RunEnded):
            return runs[number].resolve("second", "by hand", reason="we know")
        return False

    with ThreadPoolExecutor(8) as threads:
        by_hand = list(threads.map(resolve, range(20)))

    assert set(wait_for_all(runs)) == {"succeeded"}
    for run, resolved in zip(runs, by_hand, strict=True):
        (second,) = [step for step in run.steps() if step.name == "second"]
        assert (second.result == "by hand") == resolved
        assert event_names(run).count("step.resolved") == int(resolved)
    assert check(stage) == 20


def test_a_rerun_takes_over_results_and_runs_the_rest(running: Stage) -> None:
    first = running.submit(flows.diamond, {"n": 20}).wait(timeout=20)

    again = first.rerun("right").wait(timeout=20)

    assert again.result == first.result
    assert [call.step for call in running.traced(again)] == ["right", "bottom"]

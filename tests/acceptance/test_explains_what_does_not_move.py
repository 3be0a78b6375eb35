"""A run on a queue that nobody serves says so; a worker comes, and it ends."""

from tests.acceptance import flows
from tests.fixtures.stages import StageMaker
from tests.support.processes import wait_until
from workflow_engine.model.explanation import Reason


def test_a_run_that_no_worker_serves_says_so_until_one_comes(new_stage: StageMaker) -> None:
    with new_stage() as stage:
        stage.start_worker("--queues", "elsewhere", "--pool", "solo")
        run = stage.submit(flows.diamond, {"n": 20})

        before = run.explain()
        stage.start_worker("--pool", "solo")
        after = wait_until(lambda: (found := run.explain()).reason is Reason.SUCCEEDED and found)

    assert (before.reason, before.step) == (Reason.NO_WORKER, "top")
    assert before.steps[0].queue == stage.settings.queue
    assert f"queue {stage.settings.queue} " in before.sentence
    assert {step.step: [parent.step for parent in step.parents] for step in before.steps[1:]} == {
        "left": ["top"],
        "right": ["top"],
        "bottom": ["left", "right"],
    }
    assert (after.succeeded, after.steps) == (4, [])

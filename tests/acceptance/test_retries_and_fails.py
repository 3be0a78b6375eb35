"""A failed attempt is tried again as its policy says, and a failed step fails its run in the way the workflow says."""

from datetime import timedelta

import pytest

from tests.acceptance import flows
from tests.support.processes import Stage, event_names, states, wait_until
from workflow_engine import Workflow
from workflow_engine.celery_app import messages


def test_a_step_is_tried_again_after_a_durable_delay(running: Stage) -> None:
    run = running.submit(flows.flaky, {"failures": 2}).wait(timeout=20)

    assert run.state == "succeeded"
    assert event_names(run, step="sometimes") == [
        *["step.dispatched", "step.started", "step.retrying"] * 2,
        "step.dispatched",
        "step.started",
        "step.completed",
    ]
    retries = [event for event in run.events() if event.name == "step.retrying"]
    assert [event.attempt for event in retries] == [1, 2]
    assert (
        retries[0].data.items()
        >= {
            "error_class": "ConnectionError",
            "message": "no answer to attempt 1",
            "delay_seconds": 0.3,
        }.items()
    )
    began = [event.occurred_at for event in run.events() if event.name == "step.started" and event.step == "sometimes"]
    assert began[1] - retries[0].occurred_at >= timedelta(seconds=0.3)


def test_a_step_out_of_attempts_fails_with_its_last_error(running: Stage) -> None:
    run = running.submit(flows.flaky, {"failures": 99}).wait(timeout=20)

    assert run.state == "failed"
    assert run.error is not None
    assert {**run.error, "traceback": None} == {
        "step": "sometimes",
        "error_class": "ConnectionError",
        "message": "no answer to attempt 3",
        "traceback": None,
    }
    assert states(run) == {"sometimes": "failed", "afterwards": "cancelled"}
    assert run.result == {}
    failed = run.steps()[0]
    assert failed.attempt == 3
    assert failed.error is not None
    assert "raise ConnectionError" in failed.error["traceback"]


@pytest.mark.parametrize(
    ("raises", "state", "attempts"),
    [
        ("ConnectionError", "succeeded", 2),
        ("FileNotFoundError", "failed", 1),
        ("ValueError", "failed", 1),
        ("NonRetryable", "failed", 1),
        ("RetryAfter", "succeeded", 2),
    ],
)
def test_the_exception_decides_whether_a_step_is_tried_again(
    running: Stage, raises: str, state: str, attempts: int
) -> None:
    run = running.submit(flows.choosy, {"raises": raises}).wait(timeout=20)

    assert run.state == state
    assert len(running.traced(run, "picky")) == attempts


def test_retry_after_chooses_the_delay(running: Stage) -> None:
    run = running.submit(flows.choosy, {"raises": "RetryAfter"}).wait(timeout=20)

    (retrying,) = [event for event in run.events() if event.name == "step.retrying"]
    began = [event.occurred_at for event in run.events() if event.name == "step.started"]
    assert retrying.data["delay_seconds"] == 0.6
    assert began[1] - retrying.occurred_at >= timedelta(seconds=0.6)


def states_after_a_failure(running: Stage, workflow: Workflow) -> dict[str, str]:
    run = running.submit(workflow)
    running.wait_for_call(run, "fails")
    running.wait_for_call(run, "runs")
    running.open_gate(f"{run.id}-fail")
    wait_until(lambda: states(run)["fails"] == "failed", why="the step has failed")
    assert run.state == "running"  # until what runs has ended
    running.open_gate(f"{run.id}-finish")
    run.wait(timeout=20)
    assert run.state == "failed"
    assert run.error is not None
    assert run.error["step"] == "fails"
    assert run.error["message"].startswith("as asked")
    return states(run)


def test_fail_fast_lets_what_runs_end_and_starts_nothing_more(running: Stage) -> None:
    assert states_after_a_failure(running, flows.fork_fail_fast) == {
        "fails": "failed",
        "runs": "succeeded",
        "after_fails": "cancelled",
        "after_runs": "cancelled",
        "after_both": "cancelled",
    }


def test_continue_finishes_every_branch_that_does_not_wait_for_the_failure(running: Stage) -> None:
    assert states_after_a_failure(running, flows.fork_continue) == {
        "fails": "failed",
        "runs": "succeeded",
        "after_fails": "skipped",
        "after_runs": "succeeded",
        "after_both": "skipped",
    }


def test_a_step_that_lingers_fails_and_its_handler_is_told_by_an_exception_where_it_has_a_process(
    running: Stage,
) -> None:
    run = running.submit(flows.slow, {"how": "obedient"}).wait(timeout=20)
    running.open_gate(f"{run.id}-over")  # a thread is not told

    assert run.error is not None
    assert run.error["error_class"] == "StepTimeout"
    assert run.error["message"] == "step 'linger' ran longer than its timeout of 0.4 s"


def test_a_step_that_ignores_its_timeout_fails_and_its_process_is_killed_where_it_has_one(
    running: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(messages, "KILL_GRACE", 0.4)

    run = running.submit(flows.slow, {"how": "deaf"}).wait(timeout=20)
    running.open_gate(f"{run.id}-over")

    assert run.error is not None
    assert run.error["error_class"] == "StepTimeout"
    assert event_names(run, "step.lost", "step.failed") == ["step.failed"]

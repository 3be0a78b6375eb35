"""A step that failed for good is mended, requeued, and its run succeeds as if nothing had happened."""

from datetime import timedelta

import pytest

from tests.acceptance import flows
from tests.support.processes import Stage, count_completions, event_names, states, wait_until
from workflow_engine import NotDead, Workflow

both_policies = pytest.mark.parametrize(
    "workflow", [flows.mend_fail_fast, flows.mend_continue], ids=lambda each: each.name
)


@both_policies
def test_a_broken_diamond_is_mended_and_its_join_counts_once(running: Stage, workflow: Workflow) -> None:
    run = running.submit(workflow).wait(timeout=20)
    assert run.state == "failed"
    letters = running.client.dead_letters
    (letter,) = letters.page(run=run.id)
    assert (letter.id, letter.attempts) == (f"{run.id}/left", 2)
    assert (letter.error_class, letter.message) == ("ConnectionError", "attempt 2 finds nobody")
    assert "raise ConnectionError" in (letters.get(letter.id).traceback or "")

    running.open_gate(f"{run.id}-mended")
    letters.requeue(letter.id, reason="somebody is there", actor="ada")
    run.wait(timeout=20)

    assert run.state == "succeeded"
    assert run.result == {"bottom": ["attempt 3", 1]}
    assert run.error is None
    assert count_completions(run) == dict.fromkeys(["top", "left", "right", "bottom"], 1)
    assert len(running.traced(run, "bottom")) == len(running.traced(run, "right")) == 1
    assert [name for name in event_names(run) if name.startswith("run.")] == [
        "run.submitted",
        "run.started",
        "run.failed",
        "run.retried",
        "run.succeeded",
    ]
    assert [event.name for event in letters.history(letter.id)][-4:] == [
        "step.requeued",
        "step.dispatched",
        "step.started",
        "step.completed",
    ]
    with pytest.raises(NotDead, match="requeued"):
        letters.requeue(letter.id)


@both_policies
def test_what_is_requeued_unmended_has_all_its_attempts_and_fails_again(running: Stage, workflow: Workflow) -> None:
    run = running.submit(workflow).wait(timeout=20)

    running.client.dead_letters.requeue(f"{run.id}/left")
    wait_until(lambda: event_names(run).count("run.failed") == 2, why="it has failed again")

    assert [call.attempt for call in running.traced(run, "left")] == [1, 2, 3, 4]
    retrying = [event for event in run.events() if event.name == "step.retrying"]
    assert [event.attempt for event in retrying] == [1, 3]
    assert {event.data["delay_seconds"] for event in retrying} == {0.05}
    assert states(run)["bottom"] == ("cancelled" if workflow.on_failure == "fail_fast" else "skipped")
    newest, before = running.client.dead_letters.page(run=run.id, states=[])
    assert (newest.state, newest.attempt, newest.attempts) == ("dead", 4, 2)
    assert (before.state, before.attempt, before.attempts) == ("requeued", 2, 2)
    assert newest.failed_at - before.failed_at > timedelta(seconds=0.05)

"""A live worker keeps what it runs, however long that takes."""

from threading import Event

from tests.acceptance import flows
from tests.support.processes import Stage, event_names

LONGER_THAN_TWO_LOOKS = 9.0
"""Seconds; a worker looks for claims it does not run every fifth heartbeat, and believes them after five seconds."""


def test_a_step_that_runs_long_is_not_taken_for_a_forgotten_claim(lonely_stage: Stage) -> None:
    stage = lonely_stage
    stage.start_worker("-c1")
    stage.start_coordinator()
    run = stage.client.submit(flows.gated, {"gate": "long"})
    stage.wait_for_call(run, "hold")

    Event().wait(LONGER_THAN_TWO_LOOKS)
    stage.open_gate("long")
    run.wait(timeout=20)

    assert event_names(run, "step.lost") == []
    assert len(stage.traced(run, "hold")) == 1

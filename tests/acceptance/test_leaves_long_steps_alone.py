"""A live worker keeps what it runs, however long that takes."""

from threading import Event

import pytest

from tests.acceptance import flows
from tests.fixtures.stages import StageMaker
from tests.support.checker import check
from tests.support.messages import send, take
from tests.support.processes import Stage, event_names

LONGER_THAN_A_LOOK = 4.5
"""Seconds; a worker looks for claims it does not run every fifth heartbeat, and here believes them after one second."""


@pytest.mark.slow
def test_a_step_that_runs_long_is_not_taken_for_a_forgotten_claim(new_stage: StageMaker) -> None:
    with new_stage(lease_seconds=30) as stage:
        leave_alone(stage)
        check(stage)


def leave_alone(stage: Stage) -> None:
    """Run two steps for long, one of which is delivered again meanwhile."""
    once = stage.submit(flows.gated, {"gate": "long"})
    twice = stage.submit(flows.gated, {"gate": "long"})
    messages = [take(stage), take(stage)]
    stage.start_worker("-c3", STAGE_SETTLED_SECONDS="1")
    stage.start_coordinator()
    send(stage, messages[0])
    send(stage, messages[1], times=2)  # as the broker does when a step runs longer than its visibility timeout
    for run in (once, twice):
        stage.wait_for_call(run, "hold")

    Event().wait(LONGER_THAN_A_LOOK)
    stage.open_gate("long")

    for run in (once, twice):
        run.wait(timeout=20)
        assert event_names(run, "step.lost") == []
        assert len(stage.traced(run, "hold")) == 1

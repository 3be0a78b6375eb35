"""Two coordinators, and the one that leads is gone: timers, polling and rescue go on in the other one."""

from datetime import timedelta
from typing import Final

from tests.acceptance import flows
from tests.fixtures.stages import StageMaker
from tests.support.checker import check
from tests.support.processes import CoordinatorProcess, Stage, wait_for_all, wait_until

KILLED: Final = timedelta(seconds=5)
"""Within this time of a leader's death its timers are fired by another coordinator."""
FROZEN: Final = timedelta(seconds=10)
"""The same where its process is only stopped: it may be silent for three seconds; the rest is for a busy machine."""


def times_elected(coordinator: CoordinatorProcess) -> int:
    return coordinator.log.read_text().count("leads: ")


def longest_delay(stage: Stage) -> timedelta:
    """Run steps that fail once; return the longest time from a failure to the dispatch of the next attempt."""
    runs = stage.client.submit_many(flows.flaky, [{"failures": 1}] * 5)
    assert wait_for_all(runs) == ["succeeded"] * 5
    delays = []
    for run in runs:
        events = {(event.name, event.attempt): event.occurred_at for event in run.events() if event.step == "sometimes"}
        delays.append(events["step.dispatched", 2] - events["step.retrying", 1])
    return max(delays)


def test_timers_of_a_leader_that_is_frozen_or_killed_are_fired_by_the_other_coordinator(new_stage: StageMaker) -> None:
    with new_stage() as stage:
        stage.start_worker("-c1", ready=False)
        first = stage.start_coordinator_process()
        wait_until(lambda: times_elected(first) == 1, why="the only one leads")
        second = stage.start_coordinator_process()
        stage.workers[0].wait_until_ready()

        first.freeze()
        assert longest_delay(stage) < FROZEN
        assert times_elected(second) == 1

        first.thaw()
        wait_until(lambda: "does not lead any more" in first.log.read_text(), why="it has noticed")
        second.kill()
        assert longest_delay(stage) < KILLED
        assert times_elected(first) == 2

        check(stage)

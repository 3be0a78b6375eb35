"""How soon what a killed process ran runs again, as the event log tells, with the settings nobody has changed."""

import os
import signal
from collections.abc import Iterator
from datetime import datetime, timedelta
from statistics import median
from typing import Final

import pytest

from tests.acceptance import flows
from tests.faults.conftest import Tell
from tests.fixtures.stages import StageMaker
from tests.support.checker import check
from tests.support.processes import Stage
from workflow_engine import RunHandle, Settings

DEFAULTS: Final = {
    name: Settings.model_fields[name].default
    for name in ("lease_seconds", "heartbeat_seconds", "poll_seconds", "stranded_seconds")
}
CHILDREN: Final = 10
HOSTS: Final = 4
BUSY: Final = 2.0
"""Seconds to spare for a machine that has more to do."""


@pytest.fixture
def stage(new_stage: StageMaker) -> Iterator[Stage]:
    """Workers and a coordinator with the default settings."""
    with new_stage(**DEFAULTS, loss_limit=50) as made:
        made.start_coordinator_process()
        yield made
        check(made)


def kill(stage: Stage, pid: int) -> datetime:
    """Kill a process and its children's group, if it leads one; return when, by the database's clock."""
    (row,) = stage.rows("SELECT clock_timestamp() AS now")
    if os.getpgid(pid) == pid:
        os.killpg(pid, signal.SIGKILL)
    else:
        os.kill(pid, signal.SIGKILL)
    return row.now  # type: ignore[no-any-return]


def began(run: RunHandle, attempt: int) -> datetime:
    """Return when an attempt of its first step began."""
    (moment,) = (each.occurred_at for each in run.events() if (each.name, each.attempt) == ("step.started", attempt))
    return moment


def described(times: list[timedelta]) -> str:
    seconds = sorted(each / timedelta(seconds=1) for each in times)
    return f"median {median(seconds):.2f} s, longest {seconds[-1]:.2f} s of {len(seconds)}"


@pytest.mark.slow
def test_the_step_of_a_killed_pool_child_runs_again_within_two_seconds(stage: Stage, tell: Tell) -> None:
    stage.start_worker("-c2")
    run = stage.submit(flows.gated, {"gate": "never closed"})
    times = []
    for attempt in range(1, CHILDREN + 1):
        killed_at = kill(stage, stage.wait_for_call(run, "hold", attempt).pid)
        stage.wait_for_call(run, "hold", attempt + 1)
        times.append(began(run, attempt + 1) - killed_at)
    stage.open_gate("never closed")

    assert run.wait(timeout=20).state == "succeeded"
    tell(f"pool child killed -> its step runs again: {described(times)}")
    assert median(times) < timedelta(seconds=2)
    assert max(times) < timedelta(seconds=2 + BUSY)


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_the_steps_of_a_killed_host_run_again_within_the_lease_and_two_seconds(stage: Stage, tell: Tell) -> None:
    lease = timedelta(seconds=DEFAULTS["lease_seconds"])
    doomed = stage.start_worker("-c2")
    times = []
    for host in range(HOSTS):
        runs = stage.client.submit_many(flows.gated, [{"gate": f"host {host}"}] * 2)
        for run in runs:
            stage.wait_for_call(run, "hold")
        heir = stage.start_worker("-c2")
        killed_at = kill(stage, doomed.pid)
        for run in runs:
            stage.wait_for_call(run, "hold", attempt=2, within=60)
            times.append(began(run, 2) - killed_at)
        stage.open_gate(f"host {host}")
        assert {run.wait(timeout=20).state for run in runs} == {"succeeded"}
        doomed = heir

    tell(f"host killed -> its steps run again, with a lease of {lease.seconds} s: {described(times)}")
    assert max(times) < lease + timedelta(seconds=2 + BUSY)

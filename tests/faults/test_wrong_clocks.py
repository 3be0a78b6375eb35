"""Hosts whose clocks are an hour wrong: every time that counts is PostgreSQL's, and no message is taken for expired."""

import os
import subprocess
import sys
from datetime import datetime, timedelta

import pytest

from tests.acceptance import flows
from tests.faults.kinds import A_WRONG_HOUR
from tests.faults.site import skewed_by
from tests.fixtures.stages import StageMaker
from tests.support.checker import check
from tests.support.processes import ROOT, Stage, WorkerProcess, wait_for_all
from workflow_engine.store.migration import upgrade

BASE_DELAY = timedelta(seconds=0.3)
"""Between the attempts of ``flows.flaky``."""


def database_time(stage: Stage) -> datetime:
    (row,) = stage.rows("SELECT clock_timestamp() AS now")
    return row.now  # type: ignore[no-any-return]


def hours_off(stage: Stage, worker: WorkerProcess) -> float:
    """Return how wrong the clock of a worker is, as the lines of its log tell."""
    line = next(line for line in worker.log.read_text().splitlines() if line.startswith("[20"))
    written_at = datetime.fromisoformat(line[1:20]).replace(tzinfo=database_time(stage).tzinfo)
    return (written_at - database_time(stage)) / timedelta(hours=1)


@pytest.mark.slow
def test_wrong_clocks_of_hosts_change_nothing(new_stage: StageMaker) -> None:
    with new_stage() as stage:
        began = database_time(stage)
        coordinator = stage.start_coordinator_process(ready=False, **skewed_by(A_WRONG_HOUR))
        workers = [stage.start_worker("-c1", ready=False, **skewed_by(skew)) for skew in (A_WRONG_HOUR, -A_WRONG_HOUR)]
        for process in (coordinator, *workers):
            process.wait_until_ready()
        runs = stage.client.submit_many(flows.flaky, [{"failures": 1}] * 10)
        runs += stage.client.submit_many(flows.paced, [None] * 5)

        assert wait_for_all(runs) == ["succeeded"] * 15

        events = [event for run in runs for event in run.events()]
        assert {event.data["worker"] for event in events if event.name == "step.started"} == {w.name for w in workers}
        assert [round(hours_off(stage, worker)) for worker in workers] == [1, -1], "the clocks are wrong"
        assert began < min(event.occurred_at for event in events)
        assert max(event.occurred_at for event in events) < database_time(stage)
        for run in runs[:10]:
            failed, again = (
                next(event.occurred_at for event in run.events() if (event.name, event.attempt) == fact)
                for fact in (("step.retrying", 1), ("step.dispatched", 2))
            )
            assert BASE_DELAY < again - failed < timedelta(seconds=10), "a delay is an hour neither longer nor shorter"
        check(stage)


def test_a_host_whose_clock_is_years_ahead_drops_no_month_of_the_event_log(fresh_database: str) -> None:
    upgrade(fresh_database)

    done = subprocess.run(
        [sys.executable, "-m", "workflow_engine.cli.main", "db", "prune"],
        env={**os.environ, "WFE_DATABASE_URL": fresh_database, **skewed_by(10 * 366 * 86_400.0)},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )

    assert done.stdout == "nothing to do\n"

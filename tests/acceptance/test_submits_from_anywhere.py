"""A client may be shared by threads, survives a fork, and does not keep its caller waiting for a broker."""

import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from time import monotonic

from tests.acceptance import flows
from tests.acceptance.forking_submitter import EACH
from tests.fixtures.stages import StageMaker
from tests.support.processes import ROOT, Stage, states, wait_for_all, wait_until
from workflow_engine.embedded.broker import EmbeddedBroker


def test_a_client_made_before_a_fork_works_on_both_sides_of_it(running: Stage) -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "tests.acceptance.forking_submitter"],
        cwd=ROOT,
        env={**os.environ, **running.environment()},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert ended.returncode == 0, ended.stderr
    ids = json.loads(ended.stdout)
    runs = [running.client.run(each) for each in ids]
    assert len(set(ids)) == 3 * EACH
    assert wait_for_all(runs) == ["succeeded"] * 3 * EACH
    released = running.rows("SELECT FROM events WHERE run_id = ANY(%s::uuid[]) AND name = 'step.released'", ids)
    assert released == []


def test_threads_share_a_client(running: Stage) -> None:
    with ThreadPoolExecutor(32) as threads:
        runs = list(threads.map(lambda number: running.submit(flows.diamond, {"n": number}), range(64)))

    assert wait_for_all(runs) == ["succeeded"] * 64
    assert [run.result["bottom"]["right"] for run in runs] == [2 * number for number in range(64)]


def test_runs_are_accepted_within_seconds_while_the_broker_is_away(
    new_stage: StageMaker, own_broker: EmbeddedBroker
) -> None:
    with new_stage(broker=own_broker.url) as stage:
        own_broker.stop()
        began = monotonic()

        stage.submit(flows.single, {"n": 1})
        one = monotonic() - began
        runs = stage.client.submit_many(flows.single, [{"n": number} for number in range(1_000)])

        assert one < 2
        assert monotonic() - began < 5
        wait_until(
            lambda: {states(run)["only"] for run in (runs[0], runs[-1])} == {"ready"},
            why="they were given back, beside us",
        )

"""Inline subscribers hear of steps in the worker that runs them, after each commit, and cannot disturb it."""

import os
from typing import Any

from tests.acceptance.flows import diamond
from tests.acceptance.inline_log import heard
from tests.support.matrix import POOL
from tests.support.processes import Stage, states, wait_until

MODULE = "tests.acceptance.inline_log"


def lines_until_ends(stage: Stage, number: int) -> list[dict[str, Any]]:
    """Return what was heard once so many runs' ends were."""

    def ends() -> int:
        return sum(line["event"] == "run.succeeded" for line in heard(stage.folder))

    wait_until(lambda: ends() == number, why="every end is heard of")
    return heard(stage.folder)


def test_an_inline_subscriber_hears_of_a_run_in_order_and_after_each_commit(lonely_stage: Stage) -> None:
    worker = lonely_stage.start_worker("-c1", WFE_SUBSCRIBERS=f"{MODULE}:Hears")

    run = lonely_stage.submit(diamond, {"n": 1})
    run.wait(timeout=30)
    lines = lines_until_ends(lonely_stage, 1)

    first, second = [line["step"] for line in lines if line["event"] == "step.started"][1:3]
    assert {first, second} == {"left", "right"}
    assert [(line["event"], line["step"]) for line in lines] == [
        *((event, step) for step in ("top", first, second, "bottom") for event in ("step.started", "step.completed")),
        ("run.succeeded", None),
    ]
    assert {line["run"] for line in lines} == {run.id}
    assert [line["event"] for line in lines if not line["is_committed"]] == []
    pids = {line["pid"] for line in lines}
    assert pids.isdisjoint({worker.pid, os.getpid()}) if POOL == "prefork" else pids == {worker.pid}


def test_an_inline_subscriber_that_always_raises_disturbs_neither_the_steps_nor_another_one(
    lonely_stage: Stage,
) -> None:
    worker = lonely_stage.start_worker("-c1", WFE_SUBSCRIBERS=f"{MODULE}:Fails,{MODULE}:Hears")

    runs = [lonely_stage.submit(diamond, {"n": number}) for number in range(3)]

    assert [run.wait(timeout=30).result["bottom"]["right"] for run in runs] == [0, 2, 4]
    assert all(set(states(run).values()) == {"succeeded"} for run in runs)
    assert all(step.attempt == 1 for run in runs for step in run.steps())
    assert len(lines_until_ends(lonely_stage, len(runs))) == 9 * len(runs)
    assert "inline subscriber fails failed: step.completed of run " in worker.log.read_text()
    assert "RuntimeError: no run.succeeded today" in worker.log.read_text()

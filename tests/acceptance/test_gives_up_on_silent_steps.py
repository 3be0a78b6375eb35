"""A handler that shows no sign of life, or is late where Celery cannot stop it, is given up; what it does is void."""

import pytest

from tests.acceptance import flows
from tests.support.processes import Stage, count_completions, event_names, wait_until


@pytest.mark.ends_handlers
def test_a_silent_handler_is_tried_again_in_the_place_it_held(lonely_stage: Stage) -> None:
    stage = lonely_stage
    stage.start_coordinator()
    stage.start_worker("-c1")

    run = stage.submit(flows.silent).wait(timeout=20)

    assert run.result == {"breathe": 2}  # it beat for longer than it may be silent
    assert event_names(run, step="breathe") == [
        "step.dispatched",
        "step.started",
        "step.retrying",
        "step.dispatched",
        "step.started",
        "step.completed",
    ]
    (retrying,) = [event for event in run.events() if event.name == "step.retrying"]
    assert retrying.data["error_class"] == "HeartbeatTimeout"
    wait_until(lambda: stage.rows("SELECT kind FROM timers") == [], why="the completed attempt's timer is removed")


@pytest.mark.parametrize(
    ("pool", "end"),
    [("threads", "succeeded"), pytest.param("gevent", "goes on: its greenlet is killed", marks=pytest.mark.slow)],
)
def test_a_late_handler_in_a_thread_is_tried_again_and_what_it_returns_in_the_end_is_void(
    lonely_stage: Stage, pool: str, end: str
) -> None:
    stage = lonely_stage
    stage.start_coordinator()
    worker = stage.start_worker("--pool", pool, "-c2")

    run = stage.submit(flows.overtime, {"gate": "late"}).wait(timeout=20)
    told = run.events()
    if pool == "threads":  # which nobody can end
        stage.open_gate("late")

    late = f"{run.id}.dawdle.1"
    wait_until(
        lambda: any(late in line and end in line for line in worker.log.read_text().splitlines()),
        why="the late handler has ended",
    )
    assert (run.result, run.events()) == ({"dawdle": 2}, told)
    assert count_completions(run) == {"dawdle": 1}
    (retrying,) = [event for event in told if event.name == "step.retrying"]
    assert retrying.data["error_class"] == "StepTimeout"
    wait_until(lambda: stage.rows("SELECT kind FROM timers") == [], why="the completed attempt's timer is removed")

"""Whatever kills the process of a handler, its step runs again, and nothing finishes twice."""

from datetime import timedelta

import pytest

from tests.acceptance import flows
from tests.acceptance.faults import POINTS
from tests.support.processes import Stage, count_completions, event_names, wait_for_all, wait_until
from workflow_engine import RunHandle


@pytest.mark.prefork
def test_a_killed_child_costs_less_than_two_seconds(running: Stage) -> None:
    runs = [running.submit(flows.deadly, {"how": "kill"}).wait(timeout=20) for _ in range(3)]

    assert sorted(time_lost(run) for run in runs)[1] < timedelta(seconds=2)  # of three, because the machine may be busy


def time_lost(run: RunHandle) -> timedelta:
    """Return how long after its first attempt the killed step began its second one."""
    first, second = [event.occurred_at for event in run.events() if (event.name, event.step) == ("step.started", "die")]
    return second - first


@pytest.mark.prefork
def test_a_step_whose_process_was_killed_tells_so_and_runs_again(running: Stage) -> None:
    run = running.submit(flows.deadly, {"how": "kill"}).wait(timeout=20)

    assert run.result == {"survive": "alive"}
    assert event_names(run, step="die") == [
        "step.dispatched",
        "step.started",
        "step.lost",
        "step.dispatched",
        "step.started",
        "step.completed",
    ]
    assert [call.attempt for call in running.traced(run, "die")] == [1, 2]


@pytest.mark.prefork
def test_a_handler_that_ends_its_process_is_lost_and_runs_again(running: Stage) -> None:
    run = running.submit(flows.deadly, {"how": "_exit"}).wait(timeout=20)

    assert run.state == "succeeded"
    assert event_names(run, "step.lost") == ["step.lost"]


@pytest.mark.prefork
def test_a_step_that_always_kills_its_worker_fails_in_the_end(running: Stage) -> None:
    run = running.submit(flows.deadly, {"how": "kill", "times": 99}).wait(timeout=30)

    assert run.state == "failed"
    assert run.error is not None
    assert run.error["error_class"] == "WorkerLost"
    assert run.error["step"] == "die"
    assert len(running.traced(run, "die")) == running.settings.loss_limit + 1
    assert event_names(run, "step.lost") == ["step.lost"] * running.settings.loss_limit


@pytest.mark.parametrize(
    ("how", "error_class"),
    [
        ("exit", "HandlerExited"),
        ("interrupt", "HandlerExited"),
        ("memory", "MemoryError"),
        ("ignore", "Ignore"),
        ("reject", "Reject"),
        ("lost", "WorkerLostError"),
        ("cancelled", "CancelledError"),
    ],
)
def test_a_handler_that_gives_up_fails_its_step_and_spares_the_worker(
    running: Stage, how: str, error_class: str
) -> None:
    run = running.submit(flows.deadly, {"how": how}).wait(timeout=20)

    assert run.state == "failed"
    assert run.error is not None
    assert run.error["error_class"] == error_class
    assert event_names(run, "step.lost") == []
    assert running.submit(flows.diamond, {"n": 1}).wait(timeout=20).state == "succeeded"
    assert all(worker.is_alive() for worker in running.workers)


def test_a_killed_host_loses_no_step_of_those_it_ran_and_those_it_had_fetched(lonely_stage: Stage) -> None:
    stage = lonely_stage
    doomed = stage.start_worker("-c2", "--prefetch-multiplier=4")
    runs = stage.client.submit_many(flows.gated, [{"gate": "both"}] * 8)
    stage.wait_for_call(runs[0], "hold")
    stage.start_coordinator()
    heir = stage.start_worker("-c4")

    doomed.kill()
    stage.open_gate("both")

    assert wait_for_all(runs, within=20) == ["succeeded"] * 8
    assert heir.is_alive()
    assert all(set(count_completions(run).values()) == {1} for run in runs)


@pytest.mark.slow
def test_a_worker_that_stops_in_good_order_finishes_what_it_runs(lonely_stage: Stage) -> None:
    stage = lonely_stage
    worker = stage.start_worker("-c1")
    run = stage.submit(flows.gated, {"gate": "now"})
    stage.wait_for_call(run, "hold")
    stage.open_gate("now")

    worker.stop()
    stage.start_worker("-c1")
    stage.start_coordinator()

    assert run.wait(timeout=20).state == "succeeded"
    assert event_names(run, "step.lost") == []


@pytest.mark.prefork
def test_processes_killed_at_every_point_of_a_steps_life_lose_and_double_nothing(sending_stage: Stage) -> None:
    stage = sending_stage
    stage.start_coordinator()
    stage.start_worker("-c2", STAGE_FAULTS=" ".join(POINTS))

    runs = [stage.submit(flows.crashing) for _ in range(10)]

    assert wait_for_all(runs) == ["succeeded"] * 10
    assert {path.name for path in stage.folder.glob("once-*")} == {f"once-{point}" for point in POINTS}


@pytest.mark.prefork
def test_processes_killed_while_they_go_on_in_place_lose_and_double_nothing(lonely_stage: Stage) -> None:
    stage = lonely_stage
    points = ["after_claim", "before_commit", "before_ack"]  # before they are done with a message they may send nothing
    stage.start_coordinator()
    stage.start_worker("-c2", STAGE_FAULTS=" ".join(points))

    runs = [stage.submit(flows.crashing) for _ in range(10)]

    assert wait_for_all(runs, within=60) == ["succeeded"] * 10
    assert {path.name for path in stage.folder.glob("once-*")} == {f"once-{point}" for point in points}


@pytest.mark.slow
def test_a_worker_that_was_frozen_longer_than_its_lease_changes_nothing_when_it_goes_on(lonely_stage: Stage) -> None:
    stage = lonely_stage
    stage.start_coordinator()
    frozen = stage.start_worker("-c1")
    run = stage.submit(flows.deaf, {"gate": "thaw"})
    stage.wait_for_call(run, "ignore")
    frozen.freeze()
    stage.start_worker("-c1")
    stage.wait_for_call(run, "ignore", attempt=2)

    stage.open_gate("thaw")
    run.wait(timeout=20)
    told = run.events()
    frozen.thaw()
    wait_until(lambda: "Task deaf.ignore" in frozen.log.read_text().split("received")[-1], why="the late handler ended")

    assert run.events() == told
    assert [step.attempt for step in run.steps()] == [2, 1]


@pytest.mark.slow
@pytest.mark.parametrize("pool", ["prefork", "gevent"])
def test_a_handler_that_was_given_away_does_not_keep_its_place(lonely_stage: Stage, pool: str) -> None:
    stage = lonely_stage
    stage.start_coordinator()
    frozen = stage.start_worker("-c1", "--pool", pool)
    run = stage.submit(flows.stuck)
    stage.wait_for_call(run, "hang")
    frozen.freeze()
    heir = stage.start_worker("-c1")
    run.wait(timeout=20)
    heir.kill()
    told = run.events()

    frozen.thaw()

    assert stage.submit(flows.diamond, {"n": 1}).wait(timeout=20).state == "succeeded"
    assert (run.result, run.events()) == ({"hang": 2}, told)


@pytest.mark.prefork
@pytest.mark.slow
@pytest.mark.parametrize("point", POINTS)
def test_a_process_killed_at_one_point_of_a_steps_life_loses_and_doubles_nothing(
    sending_stage: Stage, point: str
) -> None:
    stage = sending_stage
    stage.start_coordinator()
    stage.start_worker("-c2", STAGE_FAULTS=point)

    runs = [stage.submit(flows.crashing) for _ in range(3)]

    assert wait_for_all(runs) == ["succeeded"] * 3
    assert (stage.folder / f"once-{point}").exists()


@pytest.mark.prefork
@pytest.mark.parametrize("fault", ["before_publish", "answer_lost", "late_timeout"])
def test_without_a_coordinator_what_broke_between_commit_and_publish_is_repaired(
    sending_stage: Stage, fault: str
) -> None:
    stage = sending_stage
    stage.start_worker("-c2", STAGE_FAULTS=fault)

    run = stage.submit(flows.crashing)

    assert run.wait(timeout=20).state == "succeeded"
    assert (stage.folder / f"once-{fault}").exists()

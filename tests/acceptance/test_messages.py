"""What travels through the broker: messages of constant size, safe to repeat, that Flower and Celery understand."""

import json
from typing import Any

import pytest

from tests.acceptance import flows
from tests.support.messages import channel, send, take
from tests.support.processes import Stage, event_names, wait_for_all
from workflow_engine import Workflow


def size(message: Any) -> int:
    """Return the bytes of a message: headers, properties and body."""
    properties = {name: value for name, value in message.properties.items() if name != "application_headers"}
    return len(json.dumps([message.headers, properties])) + len(message.body)


def test_a_message_delivered_three_times_to_two_workers_runs_its_step_once(lonely_stage: Stage) -> None:
    stage = lonely_stage
    run = stage.submit(flows.gated, {"gate": "go"})
    send(stage, take(stage), times=3)

    stage.start_worker("-c2", ready=False)
    stage.start_worker("-c2")
    stage.wait_for_call(run, "hold")
    stage.open_gate("go")

    assert run.wait(timeout=20).state == "succeeded"
    assert len(stage.traced(run, "hold")) == 1
    assert event_names(run, "step.started", "step.completed", step="hold") == ["step.started", "step.completed"]


def test_a_message_of_an_attempt_that_is_over_changes_nothing(lonely_stage: Stage) -> None:
    stage = lonely_stage
    run = stage.submit(flows.flaky, {"failures": 2})
    stale = take(stage)
    send(stage, stale, times=3)
    stage.start_coordinator()
    stage.start_worker("-c1")
    run.wait(timeout=20)
    told = len(run.events())

    send(stage, stale)
    stage.submit(flows.diamond, {"n": 1}).wait(timeout=20)  # it comes after the stale one

    assert [call.attempt for call in stage.traced(run, "sometimes")] == [1, 2, 3]
    assert len(run.events()) == told


def test_a_message_says_in_flower_whose_it_is(lonely_stage: Stage) -> None:
    run = lonely_stage.submit(flows.lattice)

    message = take(lonely_stage)
    run.cancel()

    headers = message.headers
    assert headers["shadow"] == "lattice.a"
    assert headers["root_id"] == run.id
    assert headers["argsrepr"] == f"(run={run.id}, step=a, attempt=1)"
    assert headers["task"] == "wfe.step"
    assert headers["retries"] == 0


def test_a_part_of_a_join_is_sent_as_celery_sends_the_parts_of_a_chord(lonely_stage: Stage) -> None:
    run = lonely_stage.submit(flows.lattice)

    message = take(lonely_stage)
    run.cancel()

    _, _, embed = json.loads(message.body)
    assert message.headers["group"] == f"{run.id}.d"
    assert embed["chord"]["task"] == "wfe.step"
    assert embed["chord"]["options"]["task_id"] == f"{run.id}.d.1"


def test_a_step_that_feeds_no_join_is_in_no_group(lonely_stage: Stage) -> None:
    run = lonely_stage.submit(flows.chain)

    message = take(lonely_stage)
    run.cancel()

    assert message.headers["group"] is None
    assert json.loads(message.body)[2]["chord"] is None


def wide(steps: int) -> Workflow:
    """Return a workflow of one join with that many steps in all."""
    workflow = Workflow("sized", version=f"v{steps:04}")
    parts = [workflow.step(name=f"part{number:04}")(flows.never.handler) for number in range(steps - 1)]
    workflow.step(name="join", after=parts)(flows.never.handler)
    return workflow


def test_the_size_of_a_message_does_not_depend_on_the_size_of_its_run(lonely_stage: Stage) -> None:
    sizes = []
    for steps in (10, 1_000):
        run = lonely_stage.submit(wide(steps), {"a value": "of the input" * 1_000})
        sizes.append(size(take(lonely_stage)))
        run.cancel()
        with channel(lonely_stage) as opened:
            opened.queue_purge(lonely_stage.settings.queue)

    assert abs(sizes[0] - sizes[1]) <= 8  # digits of plan ids and priorities
    assert max(sizes) <= 1_536


def test_urgent_runs_are_taken_first_and_equals_in_their_order(lonely_stage: Stage) -> None:
    stage = lonely_stage
    order = ["low", "high", "medium", "critical", "low", "critical", "medium", "high"]
    runs = [stage.submit(flows.diamond, {"n": number}, priority=priority) for number, priority in enumerate(order)]

    stage.start_worker("-c1")

    wait_for_all(runs)
    taken = [call.run_id for call in stage.traced(step="top")]
    ranks = ["critical", "high", "medium", "low"]
    wanted = sorted(range(len(order)), key=lambda number: (ranks.index(order[number]), number))
    assert taken == [runs[number].id for number in wanted]


def test_a_step_runs_on_a_worker_that_serves_its_queue(lonely_stage: Stage) -> None:
    stage = lonely_stage
    general = stage.start_worker("-c1", ready=False)
    special = stage.start_worker("-c1", "-Q", "acceptance-gpu")

    run = stage.submit(flows.two_queues).wait(timeout=20)

    assert [(step.queue, step.worker) for step in run.steps()] == [
        (None, general.name),
        ("acceptance-gpu", special.name),
    ]


def test_children_keep_the_priority_of_their_run(lonely_stage: Stage) -> None:
    stage = lonely_stage
    urgent = stage.submit(flows.diamond, {"n": 1}, priority="critical")
    others = [stage.submit(flows.diamond, {"n": 1}) for _ in range(6)]

    stage.start_worker("-c1")

    wait_for_all([urgent, *others])
    assert max(step.finished_at for step in urgent.steps() if step.finished_at) < min(
        step.finished_at for run in others for step in run.steps() if step.name == "bottom" and step.finished_at
    )


@pytest.mark.parametrize(
    "terminate",
    [pytest.param(False, id="waiting"), pytest.param(True, id="running", marks=pytest.mark.prefork)],
)
def test_a_step_revoked_in_flower_fails_and_is_not_tried_again(lonely_stage: Stage, terminate: bool) -> None:
    stage = lonely_stage
    worker = stage.start_worker("-c1")
    control = stage.client.engine.app.control
    busy = stage.submit(flows.gated, {"gate": "busy"})
    stage.wait_for_call(busy, "hold")
    run = busy if terminate else stage.submit(flows.flaky, {"failures": 0})
    step = "hold" if terminate else "sometimes"

    answers = control.revoke(
        f"{run.id}.{step}.1", terminate=terminate, signal="SIGKILL", reply=True, destination=[worker.name], timeout=10
    )
    stage.open_gate("busy")

    assert answers
    assert run.wait(timeout=20).state == "failed"
    assert run.error is not None
    assert run.error["error_class"] == "Revoked"
    assert busy.wait(timeout=20).state == ("failed" if terminate else "succeeded")

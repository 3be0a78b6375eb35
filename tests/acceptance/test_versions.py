"""A run stays with the version it began with, and waits for a worker that has it."""

import pytest

from tests.acceptance import flows
from tests.support.processes import Stage, event_names, wait_until
from workflow_engine import Client, DefinitionChanged, Retry, Workflow


def test_two_versions_run_side_by_side(running: Stage) -> None:
    old = running.submit(flows.greeting_1, "Ada")
    new = running.submit(flows.greeting_2, "Ada")

    assert old.wait(timeout=20).result == {"greet": "Hello Ada"}
    assert new.wait(timeout=20).result == {"shout": "HELLO ADA"}
    assert (old.record.version, new.record.version) == ("1", "2")


def test_a_name_alone_means_the_newest_version_and_a_version_can_be_named(running: Stage) -> None:
    running.submit(flows.greeting_1, "Ada").wait(timeout=20)
    running.submit(flows.greeting_2, "Ada").wait(timeout=20)

    newest = running.submit("greeting", "Bob")
    oldest = running.submit("greeting", "Bob", version="1")

    assert newest.wait(timeout=20).result == {"shout": "HELLO BOB"}
    assert oldest.wait(timeout=20).result == {"greet": "Hello Bob"}


def changed() -> Workflow:
    """Return the first greeting with another queue, policy and step, under the same version."""
    workflow = Workflow("greeting", version="1")
    greet = workflow.step(name="greet", retry=Retry(max_attempts=7))(flows.greet.handler)
    workflow.step(name="wave", after=[greet])(flows.greet.handler)
    return workflow


def test_a_changed_definition_under_the_same_version_is_refused_with_what_changed(running: Stage) -> None:
    running.submit(flows.greeting_1, "Ada").wait(timeout=20)

    with Client(running.settings) as client, pytest.raises(DefinitionChanged) as refused:
        client.submit(changed(), "Ada")

    message = str(refused.value)
    assert "workflow 'greeting' version '1' is already registered with another definition" in message
    difference = refused.value.difference.splitlines()
    assert any(line.startswith("-greet:") and "'max_attempts': 1" in line for line in difference)
    assert any(line.startswith("+greet:") and "'max_attempts': 7" in line for line in difference)
    assert any(line.startswith("+wave: after=['greet']") for line in difference)
    assert not any(line.startswith((" ", "@@")) for line in difference)


def test_a_step_waits_for_a_worker_that_has_its_workflow(lonely_stage: Stage) -> None:
    stage = lonely_stage
    stage.start_coordinator()
    newer = stage.start_worker("-c1", STAGE_WITHOUT="diamond")
    run = stage.submit(flows.diamond, {"n": 1})
    wait_until(lambda: "step.released" in event_names(run), why="the step was given back")

    (released, *_) = [event for event in run.events() if event.name == "step.released"]
    assert released.data["reason"] == f"worker {newer.name} does not have diamond 1, step top"
    assert run.state == "pending"
    newer.kill()
    stage.start_worker("-c1")

    assert run.wait(timeout=20).state == "succeeded"
    assert [step.attempt for step in run.steps()] == [1, 1, 1, 1]

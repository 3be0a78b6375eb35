"""Steps that wait: what may be said of them, how a plan keeps it, and what they do without an engine."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from workflow_engine import DefinitionError, InvalidInput, SignalTimeout, StepContext, Workflow, compile_plan
from workflow_engine.definitions.waiting import Wait
from workflow_engine.plan.plan import Plan
from workflow_engine.testing import run_inline

NOON = datetime(2027, 1, 31, 12, tzinfo=UTC)


@pytest.fixture
def workflow() -> Workflow:
    """A workflow without steps."""
    return Workflow("orders")


@pytest.mark.parametrize("length", [0, -1, float("nan"), float("inf"), 366 * 86_400 + 1, "1", None, True, timedelta(0)])
def test_a_sleep_has_a_length_within_bounds(workflow: Workflow, length: Any) -> None:
    with pytest.raises(DefinitionError, match=r"^step 'nap': sleep must be "):
        workflow.sleep(length, name="nap")


@pytest.mark.parametrize("timeout", [0, 366 * 86_400 + 1, "1"])
def test_a_timeout_is_within_bounds(workflow: Workflow, timeout: Any) -> None:
    with pytest.raises(DefinitionError, match=r"^step 'approved': timeout must be "):
        workflow.wait_for_signal("approved", timeout=timeout)


@pytest.mark.parametrize("moment", [datetime(2027, 1, 31, 12), "noon", None])  # noqa: DTZ001  that is the point
def test_a_moment_has_a_time_zone(workflow: Workflow, moment: Any) -> None:
    with pytest.raises(DefinitionError, match=r"^step 'noon': wait_until takes a datetime with a time zone"):
        workflow.wait_until(moment, name="noon")


def test_a_signal_has_a_name_and_its_step_has_it_unless_it_has_another(workflow: Workflow) -> None:
    with pytest.raises(DefinitionError, match="workflow 'orders': signal name 'a b' may only have"):
        workflow.wait_for_signal("a b")

    names = [workflow.wait_for_signal("approved").name, workflow.wait_for_signal("approved", name="again").name]

    assert names == ["approved", "again"]


def test_a_plan_says_what_is_waited_for_and_reads_it_again(workflow: Workflow) -> None:
    workflow.sleep(timedelta(hours=1), name="nap")
    workflow.wait_until(NOON, name="noon", after=["nap"])
    workflow.wait_until(lambda ctx: NOON, name="then", after="noon")
    workflow.wait_for_signal("approved", timeout=60, after="then")
    plan = compile_plan(workflow)

    read = Plan.from_json(plan.as_json(), namespace="default", workflow="orders", version="1")

    assert [step.wait for step in read] == [
        Wait(seconds=3600),
        Wait(until="2027-01-31T12:00:00+00:00"),
        Wait(),
        Wait(signal="approved", seconds=60),
    ]
    assert (read.digest, read.signals) == (plan.digest, {"approved": (3,)})


def test_a_plan_without_waits_is_what_it_was(workflow: Workflow) -> None:
    workflow.step(name="a")(lambda ctx: None)

    assert "wait" not in compile_plan(workflow).as_json()["steps"][0]


def test_inline_nobody_waits_and_signals_are_given(workflow: Workflow) -> None:
    workflow.sleep(3600, name="nap")
    workflow.wait_until(lambda ctx: NOON, name="noon")
    workflow.wait_for_signal("approved", after=["nap", "noon"])

    @workflow.step(after=["approved"])
    def ship(ctx: StepContext) -> Any:
        return ctx.results["approved"]

    run = run_inline(workflow, signals={"approved": {"by": "ada"}})

    assert run.state == "succeeded"
    assert run.results == {"nap": None, "noon": None, "approved": {"by": "ada"}, "ship": {"by": "ada"}}


def test_inline_a_signal_that_is_not_given_times_out(workflow: Workflow) -> None:
    workflow.wait_for_signal("approved")

    run = run_inline(workflow)

    assert (run.state, type(run.errors["approved"])) == ("failed", SignalTimeout)


def test_inline_a_signal_that_nobody_waits_for_is_refused(workflow: Workflow) -> None:
    workflow.wait_for_signal("approved")

    with pytest.raises(InvalidInput, match="signals: no step waits for 'aproved' \\(did you mean 'approved'"):
        run_inline(workflow, signals={"aproved": 1})


def test_a_function_that_returns_no_moment_fails_the_step(workflow: Workflow) -> None:
    workflow.wait_until(lambda ctx: ctx.input, name="then")  # type: ignore[arg-type,return-value]

    run = run_inline(workflow, "noon")

    assert str(run.errors["then"]) == "wait_until: must get a datetime with a time zone, not 'noon'"

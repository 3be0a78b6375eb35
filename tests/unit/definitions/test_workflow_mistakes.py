"""Every mistake in a definition is a DefinitionError where it is made, and names the offender."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from pydantic import BaseModel

from workflow_engine import CyclicWorkflow, DefinitionError, StepContext, StepHandler, Workflow


def noop(ctx: StepContext) -> None:
    """Do nothing.

    And say so at length.
    """


@pytest.fixture
def workflow() -> Workflow:
    """A workflow without steps."""
    return Workflow("orders")


def test_a_cycle_is_named_in_the_direction_of_work(workflow: Workflow) -> None:
    workflow.step(name="a", after="b")(noop)

    with pytest.raises(CyclicWorkflow) as raised:
        workflow.step(name="b", after="a")(noop)

    assert str(raised.value) == "workflow 'orders' waits for itself: a -> b -> a"
    assert raised.value.cycle == ("a", "b", "a")


def test_only_the_steps_of_the_cycle_are_named(workflow: Workflow) -> None:
    workflow.step(name="root")(noop)
    workflow.step(name="x", after=["root", "z"])(noop)
    workflow.step(name="y", after=["x", "root"])(noop)
    workflow.step(name="leaf", after="y")(noop)

    with pytest.raises(CyclicWorkflow, match=r"x -> y -> z -> x$"):
        workflow.step(name="z", after=["y", "leaf"])(noop)


def test_a_long_cycle_is_found_without_recursion(workflow: Workflow) -> None:
    number = 5_000
    for index in range(number - 1):
        workflow.step(name=f"s{index:04}", after=f"s{index + 1:04}")(noop)

    with pytest.raises(CyclicWorkflow) as raised:
        workflow.step(name=f"s{number - 1:04}", after="s0000")(noop)

    assert len(raised.value.cycle) == number + 1


def test_a_step_that_waits_for_itself_is_a_cycle_of_one(workflow: Workflow) -> None:
    with pytest.raises(CyclicWorkflow, match=r"a -> a$"):
        workflow.step(name="a", after="a")(noop)


def test_a_refused_step_leaves_the_workflow_as_it_was(workflow: Workflow) -> None:
    workflow.step(name="a", after="b")(noop)
    with pytest.raises(CyclicWorkflow):
        workflow.step(name="b", after="a")(noop)

    workflow.step(name="b")(noop)

    workflow.check_complete()
    assert list(workflow.steps) == ["a", "b"]


def test_an_unknown_parent_is_named_with_the_closest_step(workflow: Workflow) -> None:
    workflow.step(name="validate")(noop)
    workflow.step(name="charge", after="validat")(noop)

    with pytest.raises(DefinitionError, match=r"'charge' waits for unknown step 'validat' \(did you mean 'validate'\?"):
        workflow.check_complete()


def test_a_parent_may_be_named_before_it_is_defined(workflow: Workflow) -> None:
    workflow.step(name="charge", after="validate")(noop)
    workflow.step(name="validate")(noop)

    workflow.check_complete()


def test_a_workflow_without_steps_is_refused(workflow: Workflow) -> None:
    with pytest.raises(DefinitionError, match="'orders' has no steps"):
        workflow.check_complete()


def test_two_steps_of_one_name_are_refused(workflow: Workflow) -> None:
    workflow.step(noop)

    with pytest.raises(DefinitionError, match="two steps named 'noop'"):
        workflow.step(noop)


def test_a_step_of_another_workflow_is_no_parent(workflow: Workflow) -> None:
    other = Workflow("other").step(noop)

    with pytest.raises(DefinitionError, match="'noop', which is not a step of workflow 'orders'"):
        workflow.step(name="charge", after=other)(noop)


def test_a_step_of_another_workflow_is_no_parent_though_ours_has_the_same_name(workflow: Workflow) -> None:
    workflow.step(noop)
    other = Workflow("other").step(noop)

    with pytest.raises(DefinitionError, match="not a step of workflow 'orders'"):
        workflow.step(name="charge", after=[other])(noop)


def test_a_parent_named_twice_is_refused(workflow: Workflow) -> None:
    first = workflow.step(noop)

    with pytest.raises(DefinitionError, match="names 'noop' twice"):
        workflow.step(name="charge", after=[first, "noop"])(noop)


@pytest.mark.parametrize("after", [None, 17, [17], {"a"}, noop, b"a"])
def test_after_takes_steps_and_names_and_nothing_else(workflow: Workflow, after: Any) -> None:
    with pytest.raises(DefinitionError, match="'charge': after= takes steps or their names"):
        workflow.step(name="charge", after=after)(noop)


def test_an_unknown_option_is_named_with_the_closest_one(workflow: Workflow) -> None:
    misspelt: dict[str, Any] = {"time_out": 3}
    with pytest.raises(DefinitionError, match=r"no option 'time_out' \(did you mean 'timeout'\?\)"):
        workflow.step(**misspelt)(noop)


BAD_NAMES = {
    "empty": "",
    "of 300 characters": "x" * 300,
    "of 101 characters": "x" * 101,
    "with NUL": "a\x00b",
    "with a space": "a b",
    "with a slash": "a/b",
    "with a line break at its end": "a\n",
    "beginning with a dot": ".a",
    "not ASCII": "schritt_ä",
    "a number": 17,
    "nothing": b"",
}


@pytest.mark.parametrize("name", BAD_NAMES.values(), ids=BAD_NAMES.keys())
@pytest.mark.parametrize(
    "make",
    [
        Workflow,
        lambda name: Workflow("w", version=name),
        lambda name: Workflow("w", namespace=name),
        lambda name: Workflow("w", queue=name),
        lambda name: Workflow("w").step(name=name)(noop),
        lambda name: Workflow("w").step(queue=name)(noop),
    ],
    ids=["workflow", "version", "namespace", "workflow queue", "step", "step queue"],
)
def test_a_name_that_would_not_fit_everywhere_is_refused(make: Callable[[Any], object], name: Any) -> None:
    with pytest.raises(DefinitionError, match="name"):
        make(name)


@pytest.mark.parametrize("name", ["a", "x" * 100, "0", "_", "Order.2-b_C"])
def test_a_name_of_letters_digits_and_a_few_signs_is_taken(name: str) -> None:
    assert Workflow(name).step(name=name)(noop).name == name


@pytest.mark.parametrize("timeout", [0, -1, timedelta(0), timedelta(days=8), 7 * 86_400 + 1, True, "3", float("nan")])
def test_a_timeout_is_a_positive_time_of_at_most_seven_days(workflow: Workflow, timeout: Any) -> None:
    with pytest.raises(DefinitionError, match="'noop': timeout must be"):
        workflow.step(timeout=timeout)(noop)


@pytest.mark.parametrize(
    "timeout", [0, -1, timedelta(days=366, seconds=1), True, "3", float("nan"), float("inf"), 1e-9]
)
def test_a_runs_timeout_is_a_positive_time_of_at_most_a_year(timeout: Any) -> None:
    with pytest.raises(DefinitionError, match="workflow 'slow': timeout must be"):
        Workflow("slow", timeout=timeout)
    assert Workflow("slow", timeout=1.5).timeout == timedelta(seconds=1.5)
    assert Workflow("slow", timeout=timedelta(days=366)).timeout == timedelta(days=366)


def test_a_heartbeat_timeout_is_checked_as_a_timeout_is(workflow: Workflow) -> None:
    with pytest.raises(DefinitionError, match="'noop': heartbeat_timeout must be more than 0 s"):
        workflow.step(heartbeat_timeout=0)(noop)
    with pytest.raises(DefinitionError, match="'noop': heartbeat_timeout must be seconds or a timedelta, not 'soon'"):
        workflow.step(heartbeat_timeout="soon")(noop)
    assert workflow.step(heartbeat_timeout=1.5)(noop).heartbeat_timeout == timedelta(seconds=1.5)


@pytest.mark.parametrize("timeout", [float("inf"), 1e300])
def test_a_timeout_without_end_is_refused_too(workflow: Workflow, timeout: float) -> None:
    with pytest.raises(DefinitionError, match="'noop': timeout must be"):
        workflow.step(timeout=timeout)(noop)


@pytest.mark.parametrize(("timeout", "length"), [(1.5, timedelta(seconds=1.5)), (timedelta(days=7), timedelta(days=7))])
def test_a_timeout_is_kept_as_a_length_of_time(workflow: Workflow, timeout: Any, length: timedelta) -> None:
    assert workflow.step(timeout=timeout)(noop).timeout == length


class NotAHandler:
    """A class that is none."""


class NotAModel:
    """Nor this."""


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"retry": 3}, "retry= must be a Retry, not 3"),
        ({"retry": None}, "retry= must be a Retry, not None"),
        ({"priority": "urgent"}, "priority must be one of low, medium, high, critical, not 'urgent'"),
        ({"priority": 3}, "priority must be one of"),
        ({"output": NotAModel}, "output= must be a Pydantic model class"),
        ({"output": 3}, "output= must be a Pydantic model class"),
        ({"args": (1,)}, "args= and kwargs= go with task="),
        ({"kwargs": {}}, "args= and kwargs= go with task="),
    ],
)
def test_a_bad_option_of_a_step_is_named(workflow: Workflow, options: dict[str, Any], message: str) -> None:
    with pytest.raises(DefinitionError, match=message):
        workflow.step(**options)(noop)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"on_failure": "ignore"}, "'orders': on_failure must be one of fail_fast, continue, not 'ignore'"),
        ({"priority": "urgent"}, "'orders': priority must be one of"),
        ({"input": dict}, "'orders': input= must be a Pydantic model class"),
    ],
)
def test_a_bad_option_of_a_workflow_is_named(options: dict[str, Any], message: str) -> None:
    with pytest.raises(DefinitionError, match=message):
        Workflow("orders", **options)


@pytest.mark.parametrize("handler", [NotAHandler, 17, "noop"])
def test_what_cannot_be_called_is_no_handler(workflow: Workflow, handler: Any) -> None:
    with pytest.raises(DefinitionError, match=r"'s': (a class must derive from StepHandler|the handler must be)"):
        workflow.step(name="s")(handler)


def test_a_handler_class_that_cannot_be_made_is_refused_as_a_definition(workflow: Workflow) -> None:
    class Unfinished(StepHandler):
        pass

    with pytest.raises(DefinitionError, match="'Unfinished'"):
        workflow.step(Unfinished)


def test_a_step_takes_queue_and_priority_of_its_workflow_unless_it_has_its_own() -> None:
    workflow = Workflow("orders", queue="slow", priority="low")

    inherited = workflow.step(name="a")(noop)
    own = workflow.step(name="b", queue="fast", priority="critical")(noop)

    assert (inherited.queue, inherited.priority) == ("slow", "low")
    assert (own.queue, own.priority) == ("fast", "critical")


def test_a_step_is_described_by_the_first_line_of_its_docstring(workflow: Workflow) -> None:
    assert workflow.step(noop).description == "Do nothing."
    assert workflow.step(name="other", description="Given.\nMore.")(noop).description == "Given."


def test_steps_keep_the_order_in_which_they_were_defined(workflow: Workflow) -> None:
    for name in ["z", "a", "m"]:
        workflow.step(name=name)(noop)

    assert [step.name for step in workflow] == ["z", "a", "m"]


class Order(BaseModel):
    """An input model."""

    order_id: int
    note: str = "none"


def test_an_input_model_completes_and_converts() -> None:
    workflow = Workflow("orders", input=Order)

    assert workflow.storable_input({"order_id": "17"}) == {"order_id": 17, "note": "none"}
    assert workflow.parse_input({"order_id": 17}) == Order(order_id=17)
    assert workflow.storable_input(Order(order_id=1)) == {"order_id": 1, "note": "none"}

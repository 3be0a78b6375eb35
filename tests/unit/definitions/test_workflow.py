"""Definition mistakes are refused where they are made, and the message names the offender."""

from collections.abc import Callable
from typing import Any

import pytest
from pydantic import BaseModel

from workflow_engine import CyclicWorkflow, DefinitionError, InvalidInput, Retry, StepContext, StepHandler, Workflow
from workflow_engine.definitions.registry import Registry
from workflow_engine.errors import ResultNotStorable, WorkflowNotFound
from workflow_engine.testing import run_inline


def nothing(ctx: StepContext) -> None:
    """Do nothing."""


def test_a_cycle_is_named_when_it_is_closed() -> None:
    workflow = Workflow("w")
    workflow.step(name="a", after=["b"])(nothing)

    with pytest.raises(CyclicWorkflow, match="a -> b -> a"):
        workflow.step(name="b", after=["a"])(nothing)


def test_a_long_cycle_is_named_in_the_direction_of_work() -> None:
    workflow = Workflow("w")
    workflow.step(name="a", after=["c"])(nothing)
    workflow.step(name="b", after=["a"])(nothing)

    with pytest.raises(CyclicWorkflow) as raised:
        workflow.step(name="c", after=["b"])(nothing)

    assert raised.value.cycle == ("a", "b", "c", "a")


MISTAKES: dict[str, tuple[Callable[[Workflow], Any], str]] = {
    "itself": (lambda w: w.step(name="x", after=["x"])(nothing), "x -> x"),
    "duplicate": (lambda w: (w.step(name="x")(nothing), w.step(name="x")(nothing)), "two steps named 'x'"),
    "twice": (lambda w: w.step(name="x", after=["a", "a"])(nothing), "names 'a' twice"),
    "not a step": (lambda w: w.step(name="x", after=[3])(nothing), "not 3"),
    "foreign": (lambda w: w.step(name="x", after=[Workflow("o").step(name="f")(nothing)])(nothing), "not a step of"),
    "unknown option": (lambda w: w.step(name="x", retries=3)(nothing), "no option 'retries' .did you mean 'retry'"),
    "retry": (lambda w: w.step(name="x", retry=3)(nothing), "must be a Retry"),
    "timeout": (lambda w: w.step(name="x", timeout=-1)(nothing), "timeout must be more than 0 s"),
    "timeout text": (lambda w: w.step(name="x", timeout="1m")(nothing), "timeout must be seconds"),
    "priority": (lambda w: w.step(name="x", priority="urgent")(nothing), "low, medium, high, critical"),
    "queue": (lambda w: w.step(name="x", queue="a b")(nothing), "queue"),
    "output": (lambda w: w.step(name="x", output=dict)(nothing), "output= must be a Pydantic model"),
    "long name": (lambda w: w.step(name="x" * 300)(nothing), "300 characters; the limit is 100"),
    "nul": (lambda w: w.step(name="x\x00")(nothing), "may only have"),
    "empty": (lambda w: w.step(name="")(nothing), "non-empty"),
    "class": (lambda w: w.step(name="x")(dict), "must derive from StepHandler"),
    "not callable": (lambda w: w.step(name="x")(17), "must be callable"),
    "not a task": (lambda w: w.step(task=17), "must be a Celery task"),
    "args without task": (lambda w: w.step(name="x", args=(1,)), "go with task="),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_in_a_step_is_refused(mistake: str) -> None:
    make, message = MISTAKES[mistake]
    with pytest.raises(DefinitionError, match=message):
        make(Workflow("w"))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"version": ""}, "version"),
        ({"namespace": "a b"}, "namespace"),
        ({"on_failure": "ignore"}, "fail_fast, continue"),
        ({"input": dict}, "input= must be a Pydantic model"),
        ({"priority": "urgent"}, "priority"),
    ],
)
def test_a_mistake_in_a_workflow_is_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(DefinitionError, match=message):
        Workflow("w", **options)


def test_an_unknown_parent_is_refused_when_the_workflow_is_loaded_with_a_suggestion() -> None:
    workflow = Workflow("w")
    workflow.step(name="validate")(nothing)
    workflow.step(name="charge", after=["validat"])(nothing)

    with pytest.raises(DefinitionError, match=r"'charge' waits for unknown step 'validat' .did you mean 'validate'"):
        Registry([workflow])


def test_a_workflow_without_steps_is_refused() -> None:
    with pytest.raises(DefinitionError, match="no steps"):
        Registry([Workflow("w")])


def test_two_different_workflows_of_one_name_and_version_are_refused() -> None:
    one, other = Workflow("w"), Workflow("w")
    for workflow in (one, other):
        workflow.step(name="a")(nothing)

    assert len(Registry([one, one])) == 1
    with pytest.raises(DefinitionError, match="two different workflows"):
        Registry([one, other])


def test_a_registry_suggests_the_closest_name() -> None:
    workflow = Workflow("orders")
    workflow.step(name="a")(nothing)

    with pytest.raises(WorkflowNotFound, match="did you mean 'orders'"):
        Registry([workflow]).get("order")


def test_parents_may_be_steps_names_or_one_of_either_and_named_before_they_exist() -> None:
    workflow = Workflow("w")
    workflow.step(name="last", after="middle")(nothing)
    first = workflow.step(name="first")(nothing)
    workflow.step(name="middle", after=first)(nothing)

    assert [step.after for step in workflow] == [("middle",), (), ("first",)]


class Order(BaseModel):
    amount: int


def test_an_input_model_is_checked_and_given_to_handlers() -> None:
    workflow = Workflow("w", input=Order)
    workflow.step(name="double")(lambda ctx: ctx.input.amount * 2)

    assert run_inline(workflow, {"amount": "4"}).result == {"double": 8}
    assert run_inline(workflow, Order(amount=5)).result == {"double": 10}
    with pytest.raises(InvalidInput, match="amount: Input should be a valid integer"):
        run_inline(workflow, {"amount": "many"})


def test_an_output_model_is_checked_and_stored_as_json() -> None:
    workflow = Workflow("w")
    workflow.step(name="good", output=Order)(lambda ctx: {"amount": 3})
    workflow.step(name="model")(lambda ctx: Order(amount=4))
    workflow.step(name="bad", output=Order, after=["good"])(lambda ctx: {"amount": "x"})

    run = run_inline(workflow)

    assert run.results == {"good": {"amount": 3}, "model": {"amount": 4}}
    assert isinstance(run.errors["bad"], ResultNotStorable)


class Shout(StepHandler):
    """Shouts."""

    def process(self, ctx: StepContext) -> str:
        return "hey"

    def process_results(self, ctx: StepContext, output: str) -> str:
        return output.upper()


def test_a_handler_class_processes_and_shapes_its_results() -> None:
    workflow = Workflow("w")
    step = workflow.step(name="shout")(Shout)

    assert run_inline(workflow).result == {"shout": "HEY"}
    assert step.description == "Shouts."


class Task:
    name = "shop.tasks.add"
    queue = "sums"

    def __call__(self, *args: int, **kwargs: int) -> int:
        return sum(args) + sum(kwargs.values())


def test_an_existing_task_gets_the_input_then_its_parents_results_or_what_it_is_told() -> None:
    workflow = Workflow("w")
    first = workflow.step(task=Task(), name="first")
    second = workflow.step(task=Task(), name="second", args=lambda ctx: (100, ctx.input["x"]))
    workflow.step(task=Task(), after=[first, second], name="third")
    workflow.step(task=Task(), after=[first], args=(7,), kwargs={"y": 1}, name="fourth")

    assert run_inline(workflow, {"x": 1, "y": 2}).results == {"first": 3, "second": 101, "third": 104, "fourth": 8}
    assert first.queue == "sums"


def test_retries_happen_inline_and_give_up_as_the_policy_says() -> None:
    workflow = Workflow("w", on_failure="continue")

    def twice(ctx: StepContext) -> int:
        if ctx.attempt < 2:
            raise ValueError("not yet")
        return ctx.attempt

    workflow.step(name="once_more", retry=Retry(max_attempts=3))(twice)
    workflow.step(name="no_more", retry=Retry(max_attempts=3, give_up_on=ValueError))(twice)

    run = run_inline(workflow)

    assert run.results == {"once_more": 2}
    assert run.attempts == {"once_more": 2, "no_more": 1}
    assert run.state == "failed"

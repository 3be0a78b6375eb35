"""Workflows as they are written, run in this process: parents, models, classes, existing tasks, retries."""

import pytest
from pydantic import BaseModel

from workflow_engine import InvalidInput, ResultNotStorable, Retry, StepContext, StepHandler, Workflow
from workflow_engine.testing import run_inline


def test_parents_may_be_steps_names_or_one_of_either_and_named_before_they_exist() -> None:
    workflow = Workflow("w")
    workflow.step(name="last", after="middle")(lambda ctx: None)
    first = workflow.step(name="first")(lambda ctx: None)
    workflow.step(name="middle", after=first)(lambda ctx: None)

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

"""The kinds of handler: functions, classes, existing Celery tasks; and what each is called with."""

from typing import Any

import pytest
from celery import Celery
from pydantic import BaseModel

from workflow_engine import DefinitionError, ResultNotStorable, StepContext, StepHandler, Workflow


def context(**values: Any) -> StepContext:
    """Return the context of a first attempt."""
    given: dict[str, Any] = {"input": None, "results": {}} | values
    return StepContext(
        run_id="r", workflow="w", version="1", namespace="n", step="s", attempt=1, correlation_id="c", **given
    )


class Doubling(StepHandler):
    """A step as a class."""

    def process(self, ctx: StepContext) -> Any:
        return ctx.input * 2

    def process_results(self, ctx: StepContext, output: Any) -> Any:
        return {"doubled": output, "by": ctx.step}


def test_a_class_is_called_through_process_and_process_results() -> None:
    step = Workflow("w").step(name="double")(Doubling)

    assert step(context(input=4)) == {"doubled": 8, "by": "s"}


def test_a_class_names_its_step() -> None:
    assert Workflow("w").step(Doubling).name == "Doubling"


def test_a_decorated_function_stays_callable_as_in_a_unit_test() -> None:
    workflow = Workflow("w")

    @workflow.step
    def add(ctx: StepContext) -> int:
        return int(ctx.input) + 1

    assert add(context(input=1)) == 2


def test_the_idempotency_key_is_the_same_for_every_attempt() -> None:
    assert context().idempotency_key == "r:s"


def test_a_heartbeat_outside_a_worker_does_nothing() -> None:
    context().heartbeat()


class Receipt(BaseModel):
    """An output model."""

    amount: int


def test_an_output_model_completes_what_is_stored_and_refuses_what_breaks_it() -> None:
    step = Workflow("w").step(name="s", output=Receipt)(lambda ctx: None)

    assert step.storable({"amount": "3"}) == {"amount": 3}
    assert step.storable(Receipt(amount=3)) == {"amount": 3}
    with pytest.raises(ResultNotStorable, match="result: amount: ") as raised:
        step.storable({"amount": "much"})
    assert raised.value.field == "result"


def test_a_model_returned_without_an_output_model_is_stored_as_plain_values() -> None:
    assert Workflow("w").step(name="s")(lambda ctx: None).storable(Receipt(amount=3)) == {"amount": 3}


@pytest.fixture
def task() -> Any:
    """A Celery task that returns what it was called with."""

    @Celery("theirs", set_as_current=False).task(name="their.module.collect", shared=False)
    def collect(*args: Any, **kwargs: Any) -> Any:
        """Collect what is given."""
        return [list(args), kwargs]

    return collect


def test_an_existing_task_is_a_step_under_its_own_name(task: Any) -> None:
    step = Workflow("w").step(task=task)

    assert (step.name, step.description) == ("collect", "Collect what is given.")


@pytest.mark.parametrize(
    ("given", "called_with"),
    [(None, [[], {}]), ({"a": 1}, [[], {"a": 1}]), (17, [[17], {}]), ([1, 2], [[[1, 2]], {}])],
)
def test_a_task_without_parents_gets_the_runs_input(task: Any, given: Any, called_with: Any) -> None:
    assert Workflow("w").step(task=task)(context(input=given)) == called_with


def test_a_task_with_parents_gets_their_results_in_the_order_of_after(task: Any) -> None:
    workflow = Workflow("w")
    for name in "ab":
        workflow.step(name=name)(lambda ctx: None)
    step = workflow.step(task=task, after=["b", "a"])

    assert step(context(input={"x": 1}, results={"a": 1, "b": 2})) == [[2, 1], {}]


def test_a_task_gets_the_arguments_meant_for_it(task: Any) -> None:
    workflow = Workflow("w")
    fixed = workflow.step(task=task, args=(1, 2), kwargs={"k": 3})
    made = workflow.step(task=task, name="made", args=lambda ctx: [ctx.input], kwargs=lambda ctx: {"by": ctx.step})

    assert fixed(context(input=9)) == [[1, 2], {"k": 3}]
    assert made(context(input=9)) == [[9], {"by": "s"}]


@pytest.mark.parametrize("not_a_task", [lambda: None, "their.module.collect", 17])
def test_what_is_no_task_is_refused(not_a_task: Any) -> None:
    with pytest.raises(DefinitionError, match="'w': task= must be a Celery task"):
        Workflow("w").step(task=not_a_task)

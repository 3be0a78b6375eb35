"""Compile a workflow: fan-outs become chord headers, fan-ins their bodies."""

from difflib import unified_diff
from typing import Any

from workflow_engine.definitions.policies import Retry
from workflow_engine.definitions.step import Step
from workflow_engine.definitions.waiting import WaitHandler
from workflow_engine.definitions.workflow import Workflow
from workflow_engine.plan.graph import topological_order
from workflow_engine.plan.plan import Plan, link_steps


def compile_plan(workflow: Workflow) -> Plan:
    """Return the plan of a workflow.

    Raises:
        DefinitionError: the workflow is empty or names a step that does not exist.
    """
    workflow.check_complete()
    steps = list(workflow)
    index = {step.name: number for number, step in enumerate(steps)}
    order = topological_order([[index[name] for name in step.after] for step in steps])
    position = {steps[number].name: place for place, number in enumerate(order)}
    ordered = [steps[number] for number in order]
    return Plan(
        namespace=workflow.namespace,
        workflow=workflow.name,
        version=workflow.version,
        on_failure=workflow.on_failure.value,
        description=workflow.description,
        timeout=workflow.timeout,
        stale_after=None if workflow.stale_after is None else workflow.stale_after.total_seconds(),
        steps=link_steps(
            [_described(step) for step in ordered],
            [tuple(position[name] for name in step.after) for step in ordered],
        ),
    )


def difference(old: Plan, new: Plan) -> str:
    """Return what changed between two plans, as a diff with one line a step."""
    lines = unified_diff(_lines(old), _lines(new), "registered", "changed", lineterm="", n=0)
    return "\n".join(line for line in lines if not line.startswith("@@"))


def _described(step: Step) -> dict[str, Any]:
    return {
        "name": step.name,
        "queue": step.queue,
        "priority": step.priority.rank,
        "timeout": None if step.timeout is None else step.timeout.total_seconds(),
        "heartbeat_timeout": None if step.heartbeat_timeout is None else step.heartbeat_timeout.total_seconds(),
        "retry": _retry_as_json(step.retry),
        "wait": step.handler.wait.as_json() if isinstance(step.handler, WaitHandler) else None,
    }


def _retry_as_json(retry: Retry) -> dict[str, Any]:
    def type_names(types: Any) -> list[str]:
        return [each.__qualname__ for each in types]

    return {
        "max_attempts": retry.max_attempts,
        "base_delay": retry.base_delay,
        "factor": retry.factor,
        "max_delay": retry.max_delay,
        "jitter": retry.jitter,
        "retry_on": type_names(retry.retry_on),
        "give_up_on": type_names(retry.give_up_on),
    }


def _lines(plan: Plan) -> list[str]:
    lines = [f"on_failure = {plan.on_failure}"]
    if plan.timeout is not None:
        lines.append(f"timeout = {plan.timeout.total_seconds():g} s")
    lines += [] if plan.stale_after is None else [f"stale_after = {plan.stale_after}"]
    for step in plan.as_json()["steps"]:
        # PostgreSQL keeps the keys of JSON in an order of its own: only with ours is what is equal equal as text.
        retry = {key: step["retry"][key] for key in sorted(step["retry"])}
        options = ", ".join(f"{key}={value}" for key, value in (step | {"retry": retry}).items() if key != "name")
        lines.append(f"{step['name']}: {options}")
    return lines

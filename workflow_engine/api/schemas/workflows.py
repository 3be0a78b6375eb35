"""Workflows as the API shows them."""

from datetime import datetime
from typing import Any

from pydantic import BaseModel, Field

from workflow_engine.api.schemas.steps import Edge
from workflow_engine.client.definitions import WorkflowDetails, WorkflowSummary
from workflow_engine.definitions.policies import Priority
from workflow_engine.plan.plan import Plan, PlannedStep


class WorkflowItem(BaseModel):
    """A workflow: its newest version."""

    name: str
    version: str
    versions: int = Field(description="How many were registered.")
    steps: int
    description: str
    loaded: bool = Field(description="Whether this server has its code, of any version.")
    registered_at: datetime | None = Field(description="Null: it was never submitted.")


class Version(BaseModel):
    """A registered version."""

    version: str
    registered_at: datetime


class PlannedStepShown(BaseModel):
    """A step of a workflow."""

    name: str
    after: list[str] = Field(description="The steps it waits for.")
    queue: str | None
    priority: Priority
    timeout: float | None = Field(description="Seconds.")
    retry: dict[str, Any]
    wait: dict[str, Any] | None = Field(description="What it waits for, if that is all it does.")


class WorkflowShown(BaseModel):
    """A version of a workflow."""

    name: str
    namespace: str
    version: str
    description: str
    on_failure: str
    timeout: float | None = Field(description="Seconds that a run may take.")
    loaded: bool = Field(description="Whether this server has its code.")
    input_schema: dict[str, Any] | None = Field(description="What an input must fit, where that is known.")
    steps: list[PlannedStepShown] = Field(description="In topological order.")
    edges: list[Edge]
    versions: list[Version] = Field(description="Registered versions, the newest first, at most 1,000.")


def workflow_item(found: WorkflowSummary) -> WorkflowItem:
    """Return a workflow as lists show it."""
    return WorkflowItem.model_construct(None, **{name: getattr(found, name) for name in WorkflowItem.model_fields})


def workflow_shown(found: WorkflowDetails) -> WorkflowShown:
    """Return a version of a workflow as it is shown."""
    plan = found.plan
    return WorkflowShown(
        name=plan.workflow,
        namespace=plan.namespace,
        version=plan.version,
        description=plan.description,
        on_failure=plan.on_failure,
        timeout=None if plan.timeout is None else plan.timeout.total_seconds(),
        loaded=found.loaded,
        input_schema=found.input_schema,
        steps=[_step(step, plan) for step in plan],
        edges=[Edge(source=source, target=step.name) for step in plan for source in plan.names(step.parents)],
        versions=[Version(version=each.version, registered_at=each.registered_at) for each in found.versions],
    )


def _step(step: PlannedStep, plan: Plan) -> PlannedStepShown:
    return PlannedStepShown(
        name=step.name,
        after=plan.names(step.parents),
        queue=step.queue,
        priority=list(Priority)[step.priority],
        timeout=step.timeout,
        retry=dict(step.retry),
        wait=None if step.wait is None else step.wait.as_json(),
    )

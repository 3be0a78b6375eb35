"""Steps of a run: as rows, in its graph, and on its timeline."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from workflow_engine.client.run_details import RunGraph, StepTimeline
from workflow_engine.model.explanation import Explanation, Reason
from workflow_engine.model.records import StepRecord
from workflow_engine.model.run import RunState
from workflow_engine.model.step import StepState


class Step(BaseModel):
    """One step of a run."""

    name: str
    position: int = Field(description="Its place in a topological order, from 0.")
    state: StepState
    attempt: int = Field(description="0 until it is handed to a worker.")
    result: Any
    error: dict[str, Any] | None = Field(description="What its last attempt ended with.")
    queue: str | None
    worker: str | None = Field(description="Who runs it, or ran it last.")
    ready_at: datetime | None
    dispatched_at: datetime | None
    started_at: datetime | None
    finished_at: datetime | None


class Node(BaseModel):
    """A step in the graph of a run."""

    name: str
    state: StepState
    attempt: int
    started_at: datetime | None
    finished_at: datetime | None


class Edge(BaseModel):
    """``target`` waits for ``source``."""

    source: str
    target: str


class Graph(BaseModel):
    """A run's steps, and which waits for which."""

    run_id: str
    workflow: str
    version: str
    state: RunState
    nodes: list[Node] = Field(description="In topological order.")
    edges: list[Edge]


class Attempt(BaseModel):
    """One try of a step."""

    attempt: int
    state: StepState = Field(description="How it ended; `running` or `dispatched` while it has not.")
    dispatched_at: datetime | None
    started_at: datetime | None
    finished_at: datetime | None
    error: str | None = Field(description="What it ended with, if it did not succeed.")


class TimelineStep(BaseModel):
    """When a step of a run was tried."""

    name: str
    state: StepState
    queue: str | None
    worker: str | None
    attempts: list[Attempt] = Field(description="The oldest first; the last 100.")


class ParentState(BaseModel):
    """A step that another one waits for."""

    step: str
    state: StepState


class StepExplanation(BaseModel):
    """Why a step is where it is; what says nothing of it is null."""

    step: str
    state: StepState
    reason: Reason
    sentence: str = Field(description="For people; it goes on after the step's name.")
    since: datetime | None
    until: datetime | None
    attempt: int
    max_attempts: int
    queue: str | None
    worker: str | None
    error: str | None
    because: str | None
    parents: list[ParentState]
    slots: int | None
    slots_taken: int | None
    ahead: int | None
    is_counted: bool

    model_config = ConfigDict(extra="allow")


class PendingTimer(BaseModel):
    """A moment that a run has a timer for."""

    kind: str
    due_at: datetime
    step: str | None


class Explained(BaseModel):
    """Why a run is where it is."""

    run_id: str
    workflow: str
    version: str
    namespace: str
    state: RunState
    at: datetime
    reason: Reason
    step: str | None = Field(description="The step that holds it up, or because of which it ended.")
    sentence: str
    since: datetime | None
    until: datetime | None
    due_at: datetime | None
    expires_at: datetime | None
    succeeded: int
    total: int
    steps: list[StepExplanation] = Field(description="Those that have not succeeded.")
    is_complete: bool = Field(description="False if the run has more steps than are explained.")
    timers: list[PendingTimer]

    model_config = ConfigDict(extra="allow")


def step_of(record: StepRecord) -> Step:
    """Return a step as it is shown."""
    return Step.model_construct(None, **{name: getattr(record, name) for name in Step.model_fields})


def graph_of(graph: RunGraph) -> Graph:
    """Return a graph as it is shown."""
    names = [node.name for node in graph.nodes]
    return Graph.model_construct(
        run_id=graph.run.id,
        workflow=graph.run.workflow,
        version=graph.run.version,
        state=graph.run.state,
        nodes=[Node.model_construct(None, **_fields(node, Node)) for node in graph.nodes],
        edges=[Edge.model_construct(source=names[source], target=names[target]) for source, target in graph.edges],
    )


def timeline_of(step: StepTimeline) -> TimelineStep:
    """Return a step's tries as they are shown."""
    return TimelineStep.model_construct(
        name=step.record.name,
        state=step.record.state,
        queue=step.record.queue,
        worker=step.record.worker,
        attempts=[Attempt.model_construct(None, **_fields(each, Attempt)) for each in step.attempts],
    )


def explained(found: Explanation) -> Explained:
    """Return an explanation as it is shown."""
    values = _all(found)
    values["steps"] = [
        StepExplanation.model_construct(None, **(_all(step) | {"parents": _list(step.parents, ParentState)}))
        for step in found.steps
    ]
    values["timers"] = _list(found.timers, PendingTimer)
    return Explained.model_construct(None, **values)


def _list(records: Sequence[Any], model: type[BaseModel]) -> list[BaseModel]:
    return [model.model_construct(None, **_fields(each, model)) for each in records]


def _fields(record: Any, model: type[BaseModel]) -> Mapping[str, Any]:
    return {name: getattr(record, name) for name in model.model_fields}


def _all(record: Any) -> dict[str, Any]:
    return {name: getattr(record, name) for name in record.__dataclass_fields__}

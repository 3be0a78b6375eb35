"""Rows as they were read: frozen."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from workflow_engine.ids import RunId
from workflow_engine.model.run import FINAL_RUN_STATES, RunState
from workflow_engine.model.step import StepState


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRecord:
    """One execution of a workflow."""

    id: RunId
    namespace: str
    workflow: str
    version: str
    state: RunState
    input: Any
    error: Mapping[str, Any] | None
    correlation_id: str
    idempotency_key: str | None
    title: str | None
    description: str | None
    tags: Sequence[str]
    metadata: Mapping[str, Any]
    agent: str | None
    initiator: str | None
    created_at: datetime
    scheduled_at: datetime | None
    due_at: datetime | None
    expires_at: datetime | None
    started_at: datetime | None
    finished_at: datetime | None

    @property
    def is_final(self) -> bool:
        """Whether nothing about it will change any more."""
        return self.state in FINAL_RUN_STATES


@dataclass(frozen=True, slots=True, kw_only=True)
class StepRecord:
    """One step of a run."""

    run_id: RunId
    position: int
    name: str
    state: StepState
    attempt: int
    result: Any
    error: Mapping[str, Any] | None
    queue: str | None
    worker: str | None
    ready_at: datetime | None
    dispatched_at: datetime | None
    started_at: datetime | None
    finished_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class EventRecord:
    """One fact, as the event log keeps it."""

    id: int
    event_id: str
    name: str
    version: int
    run_id: RunId
    namespace: str
    correlation_id: str
    step: str | None
    attempt: int | None
    occurred_at: datetime
    data: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimedStep:
    """What a worker needs to run the attempt it has claimed."""

    input: Any
    results: Mapping[int, Any]
    """The parents' results, by position."""
    correlation_id: str
    run_priority: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Completion:
    """What a completed step set free."""

    dispatched: Sequence[int]
    run_finished: bool

"""Rows as they were read: frozen."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from workflow_engine.definitions.policies import Priority
from workflow_engine.ids import RunId
from workflow_engine.model.events import Payload, parse_payload
from workflow_engine.model.run import FINAL_RUN_STATES, RunState
from workflow_engine.model.step import StepState


@dataclass(frozen=True, slots=True, kw_only=True)
class RunSummary:
    """One execution of a workflow, as lists have it: without its input, which may be large."""

    id: RunId
    namespace: str
    workflow: str
    version: str
    state: RunState
    error: Mapping[str, Any] | None
    correlation_id: str
    idempotency_key: str | None
    title: str | None
    description: str | None
    tags: Sequence[str]
    metadata: Mapping[str, Any]
    agent: str | None
    initiator: str | None
    priority: Priority | None
    """None: each of its steps has its own."""
    created_at: datetime
    scheduled_at: datetime | None
    due_at: datetime | None
    remind_before: Sequence[timedelta]
    """How long before ``due_at`` there is a reminder, the first one first."""
    timeout: timedelta | None
    """How long it may take, from its submit or scheduled start."""
    expires_at: datetime | None
    started_at: datetime | None
    finished_at: datetime | None
    rerun_of: RunId | None
    """The earlier run of which it does a part again; both have one ``correlation_id``."""

    @property
    def is_final(self) -> bool:
        """Whether nothing about it will change any more."""
        return self.state in FINAL_RUN_STATES


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRecord(RunSummary):
    """One execution of a workflow, with its input."""

    input: Any


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
    """One fact, as the event log keeps it: the envelope, and the payload in ``data``."""

    position: int | None
    """Its place in the event log, growing; None for inline subscribers, who hear of it without asking the log."""
    event_id: str
    """UUIDv7; the same wherever and however often the event is read: deduplicate by it."""
    causation_id: str | None
    """The event of the same transaction that led to this one; None for the first."""
    name: str
    version: int
    """Of the payload's schema."""
    occurred_at: datetime
    namespace: str
    workflow: str | None
    """None, like the next two, for events that are not about a run."""
    workflow_version: str | None
    run_id: RunId | None
    step: str | None
    attempt: int | None
    correlation_id: str | None
    traceparent: str | None
    """W3C trace context: the run's trace, and the span of what the event is about."""
    data: Mapping[str, Any]

    @property
    def id(self) -> str:
        """The event's id."""
        return self.event_id

    @property
    def payload(self) -> Payload:
        """The payload as the catalogue's model.

        Raises:
            EventRefused: the catalogue does not have the event, or the data breaks its schema.
        """
        return parse_payload(self.name, self.data)


@dataclass(frozen=True, slots=True, kw_only=True)
class RunTimes:
    """When a run began."""

    submitted_at: datetime
    started_at: datetime | None
    """None: no step of it was claimed."""
    retried_at: datetime | None = None
    """When it was last retried after it had failed; None if it never was."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptTimes:
    """When an attempt began."""

    dispatched_at: datetime
    started_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class FailedAttempt:
    """An attempt that is followed by another."""

    times: AttemptTimes
    failed_at: datetime
    """From here on the delay before the next one is counted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """What a worker learns, when it claims an attempt, about the attempt and its run: later events say it again."""

    attempt_times: AttemptTimes
    run_times: RunTimes
    correlation_id: str
    traceparent: str | None
    """The submitter's trace context."""
    run_priority: int | None
    run_begun: bool
    """Whether this claim was the run's first."""
    forgiven: int = 0
    """How many of the step's attempts count no more, because it was requeued after them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimedStep:
    """What a worker needs to run the attempt it has claimed."""

    input: str
    """JSON text, of which each handler gets objects of its own."""
    results: Mapping[int, Any]
    """The parents' results, by position."""
    claim: Claim


@dataclass(frozen=True, slots=True, kw_only=True)
class FollowingStep:
    """The step with which the worker that completed another one goes on: it has claimed its first attempt."""

    position: int
    times: AttemptTimes
    results: Mapping[int, Any]
    """Of the parents whose results the worker did not know, by position."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Completion:
    """What a completed step set free."""

    dispatched: Sequence[int]
    run_finished: bool
    run_priority: int | None
    """The run's own at this moment, if anything was dispatched and it has one."""
    occurred_at: datetime
    following: FollowingStep | None = None
    """Claimed together with the completion; it is also one of ``dispatched`` if the completion set it free."""

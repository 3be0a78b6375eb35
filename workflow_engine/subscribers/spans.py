"""Spans as data, made of events: which there are and what they say. Knows no tracing library."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from workflow_engine.celery_app.spans import attempt_attributes
from workflow_engine.ids import RunId
from workflow_engine.model import run_events, step_events
from workflow_engine.model.events import Payload
from workflow_engine.model.records import EventRecord
from workflow_engine.model.spans import SpanAttribute
from workflow_engine.model.trace_ids import TraceContext, parse_traceparent, retry_context, run_context, step_context
from workflow_engine.plan.plan import Plan
from workflow_engine.store.overviews import Note, RunOverview

Value = str | int | float | Sequence[str]

_RUN_ENDS: Final = (
    run_events.RunSucceeded,
    run_events.RunFailed,
    run_events.RunCancelled,
    run_events.RunExpired,
)
RUN_ENDS: Final = ("run.succeeded", "run.failed", "run.cancelled", "run.expired")
STEP_ENDS: Final = ("step.completed", "step.retrying", "step.failed", "step.lost", "step.cancelled")
TROUBLE: Final = frozenset({"run.failed", "run.cancelled", "step.failed"})
"""Whose spans tell of the whole run."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SpanEvent:
    """A moment of a span."""

    name: str
    at: datetime
    attributes: Mapping[str, Value] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class SpanDraft:
    """A span that is over, before any library has seen it."""

    name: str
    context: TraceContext
    parent: TraceContext | None
    link: TraceContext | None = None
    begins: datetime
    ends: datetime
    attributes: Mapping[str, Value]
    events: Sequence[SpanEvent] = ()
    error: str | None = None
    """Why its status is ERROR."""


def is_in_own_trace(event: EventRecord) -> bool:
    """Whether the run's trace began with the run; if not, only the run itself knows the span it was submitted in."""
    context = parse_traceparent(event.traceparent)
    return context is None or event.run_id is None or context.trace_id == run_context(event.run_id, None).trace_id


def run_span(event: EventRecord, overview: RunOverview | None) -> SpanDraft:
    """Return the span of a run that has ended."""
    run_id, payload = RunId(event.run_id or ""), event.payload
    assert isinstance(payload, _RUN_ENDS)  # noqa: S101
    error = _error(payload)
    own: dict[str, Value] = {SpanAttribute.RUN_STATE: event.name.removeprefix("run.")}
    if isinstance(payload, run_events.RunFailed) and payload.step is not None:
        own[SpanAttribute.FAILED_STEP] = payload.step
    first, retried_at = run_context(run_id, event.traceparent), getattr(payload, "retried_at", None)
    notes = [] if overview is None else [each for each in overview.notes if retried_at is None or each.at >= retried_at]
    submitter = None if overview is None else parse_traceparent(overview.traceparent)
    again = None if retried_at is None else retry_context(run_id, event.traceparent, retried_at.isoformat())
    return SpanDraft(
        name=f"run {event.workflow}" if again is None else f"run {event.workflow} (retried)",
        context=again or first,
        parent=submitter if again is None else first,
        begins=retried_at or payload.submitted_at,
        ends=event.occurred_at,
        attributes={**_common(event), **own, **_error_type(payload), **_reason(notes), **_whole_run(overview)},
        events=[*(_noted(note) for note in notes), *_exception(payload, event.occurred_at)],
        error=error,
    )


def step_span(event: EventRecord, plan: Plan | None, overview: RunOverview | None) -> SpanDraft | None:
    """Return the span of an attempt that has ended; None if there was none: the step was cancelled before it ran."""
    payload = event.payload
    begins: datetime | None = getattr(payload, "dispatched_at", None)
    if event.attempt is None or event.step is None or begins is None:
        return None
    claimed: datetime | None = getattr(payload, "started_at", None)
    run_id = RunId(event.run_id or "")
    return SpanDraft(
        name=f"step {event.workflow}.{event.step}",
        context=step_context(run_id, event.traceparent, event.step, event.attempt),
        parent=run_context(run_id, event.traceparent),
        link=step_context(run_id, event.traceparent, event.step, event.attempt - 1) if event.attempt > 1 else None,
        begins=begins,
        ends=event.occurred_at,
        attributes={
            **_common(event),
            **attempt_attributes(run_id, event.step, event.attempt, plan),
            SpanAttribute.OUTCOME: event.name.removeprefix("step."),
            **_told(payload, begins, claimed),
            **_whole_run(overview),
        },
        events=[*([SpanEvent(name="claimed", at=claimed)] if claimed else []), *_exception(payload, event.occurred_at)],
        error=_error(payload),
    )


def _common(event: EventRecord) -> dict[str, Value]:
    found = {
        SpanAttribute.NAMESPACE: event.namespace,
        SpanAttribute.WORKFLOW: event.workflow,
        SpanAttribute.VERSION: event.workflow_version,
        SpanAttribute.RUN_ID: event.run_id,
        SpanAttribute.CORRELATION_ID: event.correlation_id,
    }
    return {key: value for key, value in found.items() if value is not None}


def _told(payload: Payload, begins: datetime, claimed: datetime | None) -> dict[str, Value]:
    told = _error_type(payload)
    if claimed is not None:
        told[SpanAttribute.QUEUE_SECONDS] = (claimed - begins).total_seconds()
    if isinstance(payload, step_events.StepRetrying):
        told[SpanAttribute.RETRY_SECONDS] = payload.delay_seconds
    if isinstance(payload, step_events.StepLost):
        told[SpanAttribute.REASON] = payload.reason
    if isinstance(payload, step_events.StepCancelled):
        told[SpanAttribute.REASON] = payload.because
    return told


def _whole_run(overview: RunOverview | None) -> dict[str, Value]:
    if overview is None:
        return {}
    names = {f"{SpanAttribute.STEPS_BY_STATE}.{state}": list(names) for state, names in overview.steps.items()}
    counts = {f"{SpanAttribute.STEP_COUNT}.{state}": count for state, count in overview.counts.items()}
    return {**names, **counts}


def _reason(notes: Sequence[Note]) -> dict[str, Value]:
    reasons = [note.data.get("reason") for note in notes if note.name == "run.cancelling"]
    return {SpanAttribute.REASON: str(reasons[0])} if reasons and reasons[0] else {}


def _noted(note: Note) -> SpanEvent:
    if note.name == "run.started":
        return SpanEvent(name="started", at=note.at)
    attributes: dict[str, Value] = {} if note.step is None else {SpanAttribute.STEP: note.step}
    said = {f"wfe.{key}": value for key, value in note.data.items() if value is not None}
    return SpanEvent(name=note.name, at=note.at, attributes={**attributes, **said})


def _error_type(payload: Payload) -> dict[str, Value]:
    if isinstance(payload, step_events.StepLost):
        return {SpanAttribute.ERROR_TYPE: "WorkerLost"}
    error_class: str | None = getattr(payload, "error_class", None)
    return {} if error_class is None else {SpanAttribute.ERROR_TYPE: error_class}


def _error(payload: Payload) -> str | None:
    if isinstance(payload, step_events.StepLost):
        return payload.reason
    error_class: str | None = getattr(payload, "error_class", None)
    return None if error_class is None else f"{error_class}: {getattr(payload, 'message', '')}"


def _exception(payload: Payload, at: datetime) -> list[SpanEvent]:
    error_class: str | None = getattr(payload, "error_class", None)
    if error_class is None:
        return []
    said = {"exception.type": error_class, "exception.message": str(getattr(payload, "message", ""))}
    return [SpanEvent(name="exception", at=at, attributes=said)]

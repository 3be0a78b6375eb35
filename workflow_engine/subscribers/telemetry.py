"""TelemetrySubscriber: events as OpenTelemetry spans, one trace a run, with the times at which things happened."""

import uuid
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

from opentelemetry.context import Context
from opentelemetry.sdk.trace import Tracer, TracerProvider
from opentelemetry.sdk.trace.sampling import ALWAYS_ON
from opentelemetry.trace import (
    Link,
    NonRecordingSpan,
    SpanKind,
    Status,
    StatusCode,
    set_span_in_context,
)

from workflow_engine.celery_app.spans import close, is_kept, span_context
from workflow_engine.errors import ConfigurationError
from workflow_engine.ids import RunId
from workflow_engine.model.records import EventRecord
from workflow_engine.model.trace_ids import parse_traceparent
from workflow_engine.plan.plan import Plan
from workflow_engine.relay.subscriber import Subscriber
from workflow_engine.store.overviews import RunOverview, run_overviews
from workflow_engine.store.transaction import Store
from workflow_engine.subscribers.otel import PresetIds
from workflow_engine.subscribers.spans import (
    RUN_ENDS,
    STEP_ENDS,
    TROUBLE,
    SpanDraft,
    is_in_own_trace,
    run_span,
    step_span,
)

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)
_PLANS_KEPT: Final = 1_000


class TelemetrySubscriber(Subscriber):
    """Makes a span of each run and of each attempt of a step when it has ended.

    The ids derive from the run's id, so a span that is made twice is the same span, and the workers' own spans find
    their parents without asking. Nothing is kept between events: a relay that was killed goes on where it was.
    """

    name = "telemetry"
    subscribe_to = (*RUN_ENDS, *STEP_ENDS)
    batch_size = 500
    max_wait = 1.0

    def __init__(self, store: Store, make_provider: Callable[[], TracerProvider | None]) -> None:
        """Take the provider from ``make_provider``, in the process that delivers; read what events leave out."""
        super().__init__()
        self._store = store
        self._make_provider = make_provider
        self._provider: TracerProvider | None = None
        self._tracer: Tracer | None = None
        self._ids = PresetIds()
        self._plans: dict[tuple[str, str, str], Plan] = {}

    def opened(self) -> None:
        """Start the exporter.

        Raises:
            ConfigurationError: the environment asks for no exporter, or for one that is not installed.
        """
        self._provider = self._make_provider()
        tracer = None if self._provider is None else self._provider.get_tracer("workflow_engine.runs")
        if not isinstance(tracer, Tracer):
            raise ConfigurationError("the telemetry subscriber needs OTEL_EXPORTER_OTLP_ENDPOINT to be set")
        tracer.id_generator = self._ids
        tracer.sampler = ALWAYS_ON  # what is not to be kept is not made
        self._tracer = tracer

    def closed(self) -> None:
        """Send the last spans and stop the exporter."""
        if self._provider is not None:
            close(self._provider)

    def on_batch(self, events: Sequence[EventRecord]) -> None:
        """Make the spans of events.

        Those of a batch from the event log are sent before this returns (or given up, if the endpoint does not take
        them), so that the cursor never passes a span that is still in this process.
        """
        overviews = self._overviews(events)
        for event in events:
            draft = self._draft(event, overviews)
            if draft is not None:
                self._emit(draft)
        if self._provider is not None and any(event.position is not None for event in events):
            self._provider.force_flush()

    def _draft(self, event: EventRecord, overviews: dict[RunId, RunOverview]) -> SpanDraft | None:
        if event.run_id is None or not self._is_kept(event, event.run_id):
            return None
        overview = overviews.get(event.run_id)
        if event.name in RUN_ENDS:
            return run_span(event, overview)
        return step_span(event, self._plan(event), overview if event.name in TROUBLE else None)

    def _is_kept(self, event: EventRecord, run_id: RunId) -> bool:
        """Whether the run's trace is sampled: as its submitter decided, else as the sampler does."""
        if is_in_own_trace(event):
            return is_kept(self._provider, uuid.UUID(run_id).int)
        context = parse_traceparent(event.traceparent)
        return context is not None and context.sampled

    def _overviews(self, events: Sequence[EventRecord]) -> dict[RunId, RunOverview]:
        about = [(event, event.run_id) for event in events if event.run_id is not None]
        whole = {run_id for event, run_id in about if event.name in TROUBLE}
        joined = {run_id for event, run_id in about if event.name in RUN_ENDS and not is_in_own_trace(event)}
        if not whole and not joined:
            return {}
        with self._store.single() as tx:
            return run_overviews(tx, whole | joined, whole=whole)

    def _plan(self, event: EventRecord) -> Plan | None:
        key = (event.namespace, event.workflow or "", event.workflow_version or "")
        if key not in self._plans:
            with self._store.single() as tx:
                found = tx.plans.find(key[1], namespace=key[0], version=key[2])
            if found is None:
                return None
            if len(self._plans) >= _PLANS_KEPT:
                self._plans.clear()
            self._plans[key] = found.plan
        return self._plans[key]

    def _emit(self, draft: SpanDraft) -> None:
        assert self._tracer is not None  # noqa: S101  whoever delivers calls `opened` first
        context = Context()
        if draft.parent is not None:
            context = set_span_in_context(NonRecordingSpan(span_context(draft.parent)), context)
        with self._ids.preset(draft.context):
            span = self._tracer.start_span(
                draft.name,
                context,
                SpanKind.INTERNAL,
                attributes=draft.attributes,
                links=[] if draft.link is None else [Link(span_context(draft.link))],
                start_time=_nanoseconds(draft.begins),
            )
        for event in draft.events:
            span.add_event(event.name, event.attributes, _nanoseconds(event.at))
        if draft.error is not None:
            span.set_status(Status(StatusCode.ERROR, draft.error))
        span.end(_nanoseconds(draft.ends))


def _nanoseconds(moment: datetime) -> int:
    return (moment - _EPOCH) // _MICROSECOND * 1_000

"""Spans in worker and client processes: a handler's, and what OpenTelemetry's instrumentation of Celery makes."""

import atexit
import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from threading import Thread
from typing import Any, Final

from celery import signals
from celery.exceptions import Ignore, Retry
from opentelemetry import trace
from opentelemetry.context import Context, attach, detach
from opentelemetry.trace import NonRecordingSpan, Span, SpanContext, Status, StatusCode, TraceFlags

from workflow_engine.celery_app.failures import HandlerFailed
from workflow_engine.celery_app.messages import task_id
from workflow_engine.model.commands import StepAttempt
from workflow_engine.model.records import Claim
from workflow_engine.model.spans import SpanAttribute
from workflow_engine.model.trace_ids import TraceContext
from workflow_engine.plan.plan import Plan

logger = logging.getLogger(__name__)

Attributes = Mapping[str, Any]

_SCOPE: Final = "workflow_engine.handlers"
_INSTRUMENTATION: Final = "opentelemetry.instrumentation.celery"
_VARIANT_BITS: Final = 2
_LOW_HALF: Final = (1 << 64) - 1
_LAST_SPANS: Final = 3.0
"""Seconds that the end of a process may take for the last spans."""


def install(make_provider: Callable[[], Any]) -> None:
    """Make the process's provider of spans, and send the last ones when the process ends.

    One that cannot be made is told of in the log, and steps run without spans.
    """
    try:
        provider = make_provider()
    except Exception:
        logger.exception("this process makes no spans")
        return
    if provider is None:
        return
    trace.set_tracer_provider(provider)

    def at_end(**_: object) -> None:
        close(provider)

    signals.worker_process_shutdown.connect(at_end, weak=False)  # a pool's processes do not get as far as atexit
    atexit.register(at_end)


def close(provider: Any) -> None:
    """Send what is left; an endpoint that does not answer delays the end of a process by three seconds at most."""
    closing = Thread(target=provider.shutdown, name="wfe-last-spans", daemon=True)
    closing.start()
    closing.join(timeout=_LAST_SPANS)


def is_kept(provider: Any, trace_id: int) -> bool:
    """Return whether a trace that begins with a run is sampled: asked by all who add to it, answered alike.

    A ratio looks at the low half of a trace id; a run's id is a UUID, in which that half begins with two fixed bits.
    """
    sampler = getattr(provider, "sampler", None)
    spread = (trace_id << _VARIANT_BITS) & _LOW_HALF
    return sampler is None or sampler.should_sample(Context(), spread, "run").decision.is_sampled()


def span_context(context: TraceContext) -> SpanContext:
    """Return a derived span's context as OpenTelemetry's."""
    flags = TraceFlags(TraceFlags.SAMPLED if context.sampled else TraceFlags.DEFAULT)
    return SpanContext(context.trace_id, context.span_id, is_remote=True, trace_flags=flags)


def attempt_attributes(run_id: str, step: str, attempt: int, plan: Plan | None) -> dict[str, Any]:
    """Return what every span of an attempt says about it."""
    attributes: dict[str, Any] = {
        SpanAttribute.STEP: step,
        SpanAttribute.ATTEMPT: attempt,
        SpanAttribute.MESSAGE_ID: task_id(run_id, step, attempt),
    }
    if plan is not None and step in plan.positions:
        planned = plan[plan.positions[step]]
        attributes[SpanAttribute.DEPENDENCIES] = plan.names(planned.parents)
        if planned.queue is not None:
            attributes[SpanAttribute.QUEUE] = planned.queue
    return attributes


def attributes_of(attempt: StepAttempt, plan: Plan, claim: Claim, worker: str) -> Attributes:
    """Return what a handler's span says."""
    return {
        SpanAttribute.NAMESPACE: plan.namespace,
        SpanAttribute.WORKFLOW: plan.workflow,
        SpanAttribute.VERSION: plan.version,
        SpanAttribute.RUN_ID: attempt.run_id,
        SpanAttribute.CORRELATION_ID: claim.correlation_id,
        SpanAttribute.WORKER: worker,
        **attempt_attributes(attempt.run_id, plan[attempt.position].name, attempt.attempt, plan),
    }


@contextmanager
def inside(context: TraceContext) -> Iterator[None]:
    """Be in a span that is made elsewhere."""
    token = attach(trace.set_span_in_context(NonRecordingSpan(span_context(context))))
    try:
        yield
    finally:
        detach(token)


@contextmanager
def sending(context: TraceContext) -> Iterator[None]:
    """Be in the span of an attempt whose message is sent."""
    with inside(context):
        try:
            yield
        finally:
            # The instrumentation ends its span only if the task is registered with the current app; else it leaves
            # it open for ever, and the message names a parent that nobody ever sees.
            left = trace.get_current_span()
            if _is_instrumentations(left):
                left.end()


@contextmanager
def handler_span(provider: Any, attempt: TraceContext, name: str, attributes: Attributes) -> Iterator[None]:
    """Be in a handler's span: the one that the instrumentation of Celery has opened below the attempt, or our own."""
    current = trace.get_current_span()
    if _is_instrumentations(current) and current.get_span_context().trace_id == attempt.trace_id:
        current.update_name(f"handle {name}")
        current.set_attributes(attributes)
        with _telling(current, fully=False):
            yield
        return
    tracer = provider.get_tracer(_SCOPE)
    with (
        tracer.start_as_current_span(
            f"handle {name}",
            trace.set_span_in_context(NonRecordingSpan(span_context(attempt))),
            attributes=attributes,
            record_exception=False,
            set_status_on_exception=False,
        ) as span,
        _telling(span, fully=True),
    ):
        yield


@contextmanager
def _telling(span: Span, *, fully: bool) -> Iterator[None]:
    """Note in a span how its handler ended; not ``fully`` where the instrumentation notes failures by itself."""
    try:
        yield
    except Ignore:  # the run was cancelled, and the handler stopped: no error
        raise
    except Exception as error:
        shown = _meant(error)
        span.set_attribute(SpanAttribute.ERROR_TYPE, type(shown).__name__)
        if fully or isinstance(error, Retry):
            span.record_exception(shown)
            span.set_status(Status(StatusCode.ERROR, f"{type(shown).__name__}: {shown}"))
        raise


def _meant(error: Exception) -> BaseException:
    """Return what the handler raised, for what Celery is told."""
    told: BaseException = error.exc if isinstance(error, Retry) and error.exc is not None else error
    cause = told.__cause__ or error.__cause__
    return cause if isinstance(told, HandlerFailed) and cause is not None else told


def _is_instrumentations(span: Span) -> bool:
    scope = getattr(span, "instrumentation_scope", None)
    return span.is_recording() and scope is not None and scope.name == _INSTRUMENTATION

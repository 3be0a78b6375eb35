"""OpenTelemetry's SDK, set up as the standard ``OTEL_*`` variables ask; nothing of it where they do not ask."""

import logging
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from importlib.metadata import entry_points
from typing import Final

from opentelemetry.sdk.resources import SERVICE_NAME, Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.id_generator import IdGenerator, RandomIdGenerator
from opentelemetry.sdk.trace.sampling import ParentBased

from workflow_engine.client.tracing import exporter_names
from workflow_engine.definitions.names import did_you_mean
from workflow_engine.errors import ConfigurationError
from workflow_engine.model.trace_ids import TraceContext

logger = logging.getLogger(__name__)

_SERVICE: Final = "workflow-engine"
_EXPORTERS: Final = "opentelemetry_traces_exporter"
"""The entry points by which OpenTelemetry finds exporters."""
_QUEUE_LOGGER: Final = "opentelemetry.sdk._shared_internal"


def make_provider() -> TracerProvider | None:
    """Return a provider as the environment asks for it; None if it does not.

    To be called in the process that makes the spans, after any fork: it has a thread.

    Raises:
        ConfigurationError: ``OTEL_TRACES_EXPORTER`` names an exporter that is not installed.
    """
    exporters = [_exporter(name) for name in exporter_names()]
    if not exporters:
        return None
    provider = TracerProvider(
        resource=_resource(),
        sampler=ParentBased(root=TracerProvider(shutdown_on_exit=False).sampler),  # whole runs, whatever it says
        shutdown_on_exit=False,
    )
    for exporter in exporters:
        provider.add_span_processor(BatchSpanProcessor(TellsOnce(exporter)))
    return provider


def _resource() -> Resource:
    resource = Resource.create()
    if str(resource.attributes.get(SERVICE_NAME, "")).startswith("unknown_service"):
        return resource.merge(Resource({SERVICE_NAME: _SERVICE}))
    return resource


def _exporter(name: str) -> SpanExporter:
    if name == "otlp":
        protocol = os.environ.get("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL") or os.environ.get("OTEL_EXPORTER_OTLP_PROTOCOL")
        name = "otlp_proto_grpc" if protocol == "grpc" else "otlp_proto_http"
    installed = {each.name: each for each in entry_points(group=_EXPORTERS)}
    if name not in installed:
        raise ConfigurationError(
            f"OTEL_TRACES_EXPORTER: no exporter {name!r} is installed{did_you_mean(name, installed)}"
        )
    made: SpanExporter = installed[name].load()()
    return made


class PresetIds(IdGenerator):
    """Random ids, except for the one span that is made inside ``preset``."""

    def __init__(self) -> None:
        """Begin without a preset."""
        self._random = RandomIdGenerator()
        self._preset: ContextVar[TraceContext | None] = ContextVar("wfe_span_ids", default=None)

    @contextmanager
    def preset(self, context: TraceContext) -> Iterator[None]:
        """Give the span that is made inside these ids."""
        token = self._preset.set(context)
        try:
            yield
        finally:
            self._preset.reset(token)

    def generate_span_id(self) -> int:
        """Return the preset span's id, else a random one."""
        preset = self._preset.get()
        return self._random.generate_span_id() if preset is None else preset.span_id

    def generate_trace_id(self) -> int:
        """Return the preset span's trace, else a random one."""
        preset = self._preset.get()
        return self._random.generate_trace_id() if preset is None else preset.trace_id


class TellsOnce(SpanExporter):
    """An exporter that complains when its endpoint goes away and tells when it is back, and is silent between."""

    def __init__(self, exporter: SpanExporter) -> None:
        """Export through ``exporter``."""
        self._exporter = exporter
        self._down = False
        for name in (type(exporter).__module__, _QUEUE_LOGGER):
            logging.getLogger(name).addFilter(self._may_speak)

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Export spans; they are lost if the endpoint does not take them within OpenTelemetry's own patience."""
        result = self._exporter.export(spans)
        down = result is not SpanExportResult.SUCCESS
        if down and not self._down:
            logger.warning("the tracing endpoint does not take spans; they are lost until it does, nothing else is")
        elif self._down and not down:
            logger.warning("the tracing endpoint takes spans again")
        self._down = down
        return result

    def shutdown(self) -> None:
        """End it."""
        self._exporter.shutdown()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Pass on what it keeps."""
        return self._exporter.force_flush(timeout_millis)

    def _may_speak(self, _: logging.LogRecord) -> bool:
        return not self._down

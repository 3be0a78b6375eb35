"""Metrics: OpenTelemetry's instruments of one process, read by Prometheus at a port, pushed by OTLP, or both.

A meter provider of our own, beside whatever the application has made OpenTelemetry's global one.
"""

from collections.abc import Callable, Iterable, Mapping
from threading import Lock
from typing import Any, Final

from opentelemetry.exporter.prometheus import PrometheusMetricReader
from opentelemetry.metrics import CallbackOptions, Counter, Histogram, Observation
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import MetricReader
from opentelemetry.sdk.metrics.view import View
from opentelemetry.sdk.resources import SERVICE_NAME, Resource
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder

from workflow_engine.metrics.instrument import Instrument, Kind, Observed, Values
from workflow_engine.metrics.labels import CLOSED_SETS, LABEL_SETS, LabelLimit
from workflow_engine.metrics.otlp import otlp_reader
from workflow_engine.metrics.port import MetricsPort

_SCOPE: Final = "workflow_engine"
_SERVICE: Final = "workflow-engine"
_UNNAMED: Final = "unknown_service"
_OUR_LIMIT: Final = View(instrument_name="*", aggregation_cardinality_limit=(LABEL_SETS + 1) * CLOSED_SETS)
"""OpenTelemetry's own limit is not to be reached: behind it the state would be gone along with the names."""
_LAST_PUSH_MILLISECONDS: Final = 5_000.0
"""Nobody should wait for a collector that is away."""


class Metrics:
    """The instruments of one process; made where metrics are wanted, and only there."""

    def __init__(self, *, pull: bool = True, push: bool = False) -> None:
        """Make what is measured ready to be read.

        Args:
            pull: keep the values for a port.
            push: send them to where the standard ``OTEL_*`` variables point.

        Raises:
            ConfigurationError: the variables ask for a protocol that is not installed.
        """
        self._registry = CollectorRegistry(auto_describe=False)
        readers: list[MetricReader] = []
        if pull:
            readers.append(PrometheusMetricReader(scope_info_enabled=False, registry=self._registry))
        if push:
            readers.append(otlp_reader())
        self._provider = MeterProvider(readers, resource=_resource(), views=[_OUR_LIMIT], shutdown_on_exit=False)
        self._meter = self._provider.get_meter(_SCOPE)
        self._limit = LabelLimit()
        self._lock = Lock()
        self._counters: dict[Instrument, Counter] = {}
        self._histograms: dict[Instrument, Histogram] = {}
        self._ports: list[MetricsPort] = []

    def count(self, instrument: Instrument, labels: Mapping[str, str], number: int = 1) -> None:
        """Add to a counter."""
        counter = self._counters.get(instrument) or self._counter(instrument)
        counter.add(number, self._limit.bounded(labels))

    def record(self, instrument: Instrument, labels: Mapping[str, str], value: float) -> None:
        """Put a value into a histogram."""
        histogram = self._histograms.get(instrument) or self._histogram(instrument)
        histogram.record(value, self._limit.bounded(labels))

    def observe(self, observed: Observed) -> None:
        """Ask for values whenever somebody reads an instrument."""
        for instrument, values in observed.items():
            self._observe(instrument, values)

    def serve(self, host: str, port: int) -> MetricsPort:
        """Answer Prometheus at a port until ``close``; port 0 is any free one.

        Raises:
            ConfigurationError: the port is taken or cannot be had.
        """
        served = MetricsPort(self._registry, host, port)
        self._ports.append(served)
        return served

    def exposition(self, accept: str) -> tuple[bytes, str]:
        """Return what Prometheus reads, and its media type, in a form that ``accept`` (the HTTP header) asks for."""
        encode, media_type = choose_encoder(accept)
        return encode(self._registry), media_type

    def close(self) -> None:
        """Push what was not pushed yet, and give the ports back."""
        for port in self._ports:
            port.close()
        self._provider.shutdown(timeout_millis=_LAST_PUSH_MILLISECONDS)

    def _observe(self, instrument: Instrument, values: Callable[[], Values]) -> None:
        def observations(_: CallbackOptions) -> Iterable[Observation]:
            return [Observation(value, self._limit.bounded(labels)) for value, labels in values()]

        is_counter = instrument.kind is Kind.COUNTER
        make: Callable[..., Any] = (
            self._meter.create_observable_counter if is_counter else self._meter.create_observable_gauge
        )
        make(instrument.name, callbacks=[observations], unit=instrument.unit, description=instrument.description)

    def _counter(self, instrument: Instrument) -> Counter:
        with self._lock:  # a second one of the same name would be a warning
            if instrument not in self._counters:
                self._counters[instrument] = self._meter.create_counter(
                    instrument.name, unit=instrument.unit, description=instrument.description
                )
            return self._counters[instrument]

    def _histogram(self, instrument: Instrument) -> Histogram:
        with self._lock:
            if instrument not in self._histograms:
                self._histograms[instrument] = self._meter.create_histogram(
                    instrument.name,
                    unit=instrument.unit,
                    description=instrument.description,
                    explicit_bucket_boundaries_advisory=instrument.bounds,
                )
            return self._histograms[instrument]


def _resource() -> Resource:
    """What the environment says about this process; our name for it where it says none."""
    given = Resource.create()
    if str(given.attributes.get(SERVICE_NAME, "")).startswith(_UNNAMED):
        return given.merge(Resource({SERVICE_NAME: _SERVICE}))
    return given

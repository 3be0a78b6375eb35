"""The reader that pushes, and whether OpenTelemetry's standard variables ask for it."""

import os
from collections.abc import Mapping
from importlib import import_module
from typing import Any, Final

from opentelemetry.sdk.metrics.export import MetricExporter, PeriodicExportingMetricReader

from workflow_engine.errors import ConfigurationError

_MODULES: Final = {
    "http/protobuf": "opentelemetry.exporter.otlp.proto.http.metric_exporter",
    "grpc": "opentelemetry.exporter.otlp.proto.grpc.metric_exporter",
}


class MainProcessReader(PeriodicExportingMetricReader):
    """Pushes from the process that made it only: the forked processes of a pool have nothing of their own to say."""

    def __init__(self, exporter: MetricExporter) -> None:
        """Push every ``OTEL_METRIC_EXPORT_INTERVAL`` milliseconds."""
        self._pid = os.getpid()
        super().__init__(exporter)

    def _at_fork_reinit(self) -> None:
        """In place of the thread that OpenTelemetry would start in every child."""

    def _receive_metrics(self, *args: Any, **options: Any) -> None:
        if os.getpid() == self._pid:
            super()._receive_metrics(*args, **options)


def otlp_reader() -> MainProcessReader:
    """Return a reader that pushes to where the ``OTEL_EXPORTER_OTLP_*`` variables point.

    Raises:
        ConfigurationError: they ask for a protocol that is unknown or not installed.
    """
    protocol = _first(os.environ, "OTEL_EXPORTER_OTLP_METRICS_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
    module = _MODULES.get(protocol or "http/protobuf")
    if module is None:
        raise ConfigurationError(
            f"OTEL_EXPORTER_OTLP_PROTOCOL is {protocol!r}: it must be one of {', '.join(_MODULES)}"
        )
    try:
        return MainProcessReader(import_module(module).OTLPMetricExporter())
    except ModuleNotFoundError as error:
        raise ConfigurationError(
            f"OTEL_EXPORTER_OTLP_PROTOCOL={protocol} needs a package that is not installed: "
            "pip install opentelemetry-exporter-otlp-proto-grpc"
        ) from error


def _first(variables: Mapping[str, str], *names: str) -> str | None:
    return next((value for name in names if (value := variables.get(name, "").strip())), None)

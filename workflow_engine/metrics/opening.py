"""Whether this process measures itself at all; where it does not, nothing of OpenTelemetry's SDK is even imported."""

import logging
import os
from collections.abc import Mapping
from importlib import import_module
from typing import TYPE_CHECKING

from workflow_engine.errors import ConfigurationError

if TYPE_CHECKING:
    from workflow_engine.metrics.meter import Metrics

logger = logging.getLogger(__name__)


def open_metrics(*, host: str, port: int | None, exposed: bool = False) -> "Metrics | None":
    """Return the instruments of this process, served at the port; None where nobody asks for any.

    ``exposed``: the process answers Prometheus by itself, port or no port.

    Raises:
        ConfigurationError: the port is taken, or the ``OTEL_*`` variables ask for a protocol that is not installed.
    """
    if not exposed and not metrics_are_wanted(port):
        return None
    push = wants_otlp(os.environ)
    made: Metrics = import_module("workflow_engine.metrics.meter").Metrics(pull=exposed or port is not None, push=push)
    if push:
        logger.info("metrics are pushed")
    if port is None:
        return made
    try:
        logger.info("metrics: %s", made.serve(host, port).url)
    except ConfigurationError:
        made.close()
        raise
    return made


def metrics_are_wanted(port: int | None) -> bool:
    """Tell whether there is a port for them, or somebody to push them to."""
    return port is not None or wants_otlp(os.environ)


def wants_otlp(variables: Mapping[str, str]) -> bool:
    """Tell whether OpenTelemetry's standard variables ask for metrics to be pushed.

    Beside the standard, which would push to this machine unasked, an endpoint or the exporter must be named.
    """
    if variables.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return False
    exporters = variables.get("OTEL_METRICS_EXPORTER", "").strip()
    if exporters:
        return "otlp" in (name.strip() for name in exporters.split(","))
    endpoints = ("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
    return any(variables.get(name, "").strip() for name in endpoints)

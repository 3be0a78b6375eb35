"""Traces as a process of ours meets them, without importing OpenTelemetry where nobody uses it."""

import os
import sys
from typing import Any, Final

_API: Final = "opentelemetry.trace"
_ENDPOINTS: Final = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")


def current_traceparent() -> str | None:
    """Return the caller's current span as a W3C ``traceparent``; None where there is none.

    A program that has not imported OpenTelemetry cannot be in a span, and does not import it now.
    """
    api: Any = sys.modules.get(_API)
    if api is None:
        return None
    span = api.get_current_span().get_span_context()
    return f"00-{span.trace_id:032x}-{span.span_id:016x}-{span.trace_flags & 1:02x}" if span.is_valid else None


def exporter_names() -> list[str]:
    """Return the exporters that OpenTelemetry's variables ask for; none unless they name one or an OTLP endpoint."""
    if os.environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return []
    named = os.environ.get("OTEL_TRACES_EXPORTER", "").strip()
    if not named and any(os.environ.get(variable) for variable in _ENDPOINTS):
        named = "otlp"
    names = [name.strip() for name in named.split(",")]
    return [name for name in names if name and name != "none"]

"""Logs: text or one JSON object a line, with the step that a line is about."""

import json
import logging
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any, Final

FIELDS: Final = ("run_id", "workflow", "step", "attempt", "correlation_id", "namespace")
"""What a line logged inside a step says about it."""

_TEXT: Final = "%(asctime)s %(levelname)s %(name)s: %(message)s"
_NOTHING: Final[Mapping[str, Any]] = MappingProxyType({})
_context: Final[ContextVar[Mapping[str, Any]]] = ContextVar("wfe_log_context", default=_NOTHING)


@contextmanager
def log_context(**fields: Any) -> Iterator[None]:
    """Say in every line that is logged in this block what it is about."""
    token = _context.set({**_context.get(), **fields})
    try:
        yield
    finally:
        _context.reset(token)


class ContextFilter(logging.Filter):
    """Puts the context on records, as attributes; lets every record pass."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Add what is known; attributes that are there already stay."""
        for name, value in {**_context.get(), **_current_span()}.items():
            if not hasattr(record, name):
                setattr(record, name, value)
        return True


class JsonFormatter(logging.Formatter):
    """One JSON object a line, in ASCII; line breaks in messages and tracebacks are escaped."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the record as JSON."""
        line: dict[str, Any] = {
            "timestamp": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="microseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
        }
        names = (*FIELDS, "trace_id", "span_id")
        line |= {name: value for name in names if (value := getattr(record, name, None)) is not None}
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        elif record.exc_text:
            line["exception"] = record.exc_text
        if record.stack_info:
            line["stack"] = record.stack_info
        return json.dumps(line, default=str)


def configure_logging(level: str, log_format: str) -> None:
    """Write this process's log to stderr, unless the application has set up its own."""
    logging.basicConfig(level=level, format=_TEXT)
    shape_logger(logging.getLogger(), log_format)
    if log_format == "json":
        logging.captureWarnings(True)  # they would be lines of text between those of JSON


def shape_logger(logger: logging.Logger, log_format: str) -> None:
    """Have a logger's handlers add the context and, for ``json``, write JSON; harmless when repeated."""
    for handler in logger.handlers:
        if not any(isinstance(each, ContextFilter) for each in handler.filters):
            handler.addFilter(ContextFilter())
        if log_format == "json":
            handler.setFormatter(JsonFormatter())


def _current_span() -> Mapping[str, str]:
    """The ids of the current span; where nobody has imported OpenTelemetry, there is none."""
    trace = sys.modules.get("opentelemetry.trace")
    if trace is None or not hasattr(trace, "get_current_span"):
        return _NOTHING
    context = trace.get_current_span().get_span_context()
    if not context.is_valid:
        return _NOTHING
    return {"trace_id": f"{context.trace_id:032x}", "span_id": f"{context.span_id:016x}"}

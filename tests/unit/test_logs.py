"""Logs: the JSON form of a record, and the context it carries."""

import io
import json
import logging
from datetime import UTC, datetime
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.trace import NonRecordingSpan, SpanContext

from workflow_engine.logs import log_context, shape_logger


class Log:
    """A logger of its own that writes to memory."""

    def __init__(self, log_format: str, text: str = "%(message)s") -> None:
        self.stream = io.StringIO()
        self.logger = logging.Logger("shop")  # noqa: LOG001  nobody else is to find it
        handler = logging.StreamHandler(self.stream)
        handler.setFormatter(logging.Formatter(text))
        self.logger.addHandler(handler)
        shape_logger(self.logger, log_format)
        shape_logger(self.logger, log_format)

    def lines(self) -> list[dict[str, Any]]:
        """Return what was written; each line is to be JSON."""
        return [json.loads(line) for line in self.stream.getvalue().splitlines()]


@pytest.fixture
def log() -> Log:
    """A log in JSON."""
    return Log("json")


def test_a_line_has_time_level_logger_and_message(log: Log) -> None:
    log.logger.warning("%d grüne\nÄpfel", 3)

    (line,) = log.lines()
    assert datetime.fromisoformat(line.pop("timestamp")).tzinfo == UTC
    assert line == {"level": "WARNING", "logger": "shop", "message": "3 grüne\nÄpfel"}


def test_an_exception_is_part_of_its_line(log: Log) -> None:
    try:
        int("ü")
    except ValueError:
        log.logger.exception("failed")

    (line,) = log.lines()
    assert line["exception"].startswith("Traceback")
    assert line["exception"].endswith("'ü'")


def test_lines_say_which_step_they_are_about_until_its_block_ends(log: Log) -> None:
    with log_context(run_id="r1", step="pay", attempt=1), log_context(attempt=2):
        log.logger.warning("inside")
    log.logger.warning("outside")

    inside, outside = log.lines()
    assert (inside["run_id"], inside["step"], inside["attempt"]) == ("r1", "pay", 2)
    assert "run_id" not in outside


def test_lines_inside_a_span_carry_its_ids(log: Log) -> None:
    with trace.use_span(NonRecordingSpan(SpanContext(trace_id=1, span_id=2, is_remote=False))):
        log.logger.warning("inside")

    (line,) = log.lines()
    assert (line["trace_id"], line["span_id"]) == (f"{1:032x}", f"{2:016x}")


def test_a_text_log_keeps_its_form_and_may_use_the_context() -> None:
    log = Log("text", "%(run_id)s %(message)s")

    with log_context(run_id="r1"):
        log.logger.warning("inside")

    assert log.stream.getvalue() == "r1 inside\n"

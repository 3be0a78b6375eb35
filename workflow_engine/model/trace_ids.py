"""Trace and span ids, derived from run and step ids: any process can parent to them, none has to hand them on."""

import hashlib
import re
import uuid
from dataclasses import dataclass
from typing import Final

_TRACEPARENT: Final = re.compile(r"00-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})")
_SAMPLED: Final = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class TraceContext:
    """A span, as W3C Trace Context names it."""

    trace_id: int
    span_id: int
    sampled: bool

    def __str__(self) -> str:
        """Return it as a ``traceparent`` header."""
        return f"00-{self.trace_id:032x}-{self.span_id:016x}-{int(self.sampled):02x}"


def parse_traceparent(text: str | None) -> TraceContext | None:
    """Return a ``traceparent`` header's context; None if there is none or it is malformed (as W3C asks: start anew)."""
    match = _TRACEPARENT.fullmatch(text or "")
    if match is None or not int(match[1], 16) or not int(match[2], 16):
        return None
    return TraceContext(
        trace_id=int(match[1], 16), span_id=int(match[2], 16), sampled=bool(int(match[3], 16) & _SAMPLED)
    )


def run_context(run_id: str, submitter: str | None) -> TraceContext:
    """Return a run's span: in its submitter's trace if there is one, else in a trace whose id is the run's."""
    given = parse_traceparent(submitter)
    return TraceContext(
        trace_id=uuid.UUID(run_id).int if given is None else given.trace_id,
        span_id=_span_id(run_id),
        sampled=True if given is None else given.sampled,
    )


def retry_context(run_id: str, submitter: str | None, retried_at: str) -> TraceContext:
    """Return the span of what a run did after it had failed and was retried."""
    run = run_context(run_id, submitter)
    return TraceContext(trace_id=run.trace_id, span_id=_span_id(f"{run_id}@{retried_at}"), sampled=run.sampled)


def step_context(run_id: str, submitter: str | None, step: str, attempt: int) -> TraceContext:
    """Return the span of one attempt of a step."""
    run = run_context(run_id, submitter)
    return TraceContext(trace_id=run.trace_id, span_id=_span_id(f"{run_id}.{step}.{attempt}"), sampled=run.sampled)


def event_traceparent(run_id: str, submitter: str | None, step: str | None, attempt: int | None) -> str:
    """Return the ``traceparent`` of the span of what an event is about: an attempt, or the whole run."""
    if submitter is not None:
        whole = run_context(run_id, submitter)
        context = whole if step is None or attempt is None else step_context(run_id, submitter, step, attempt)
        return str(context)
    # The same, without the objects: every event that is read from the log has one.
    span_id = _span_id(run_id if step is None or attempt is None else f"{run_id}.{step}.{attempt}")
    return f"00-{run_id.replace('-', '')}-{span_id:016x}-01"


def _span_id(subject: str) -> int:
    digest = hashlib.blake2b(subject.encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") or 1  # zero is no span

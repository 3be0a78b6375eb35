"""A payload as the event log keeps it: checked, redacted where the application asks for it, and of bounded size."""

from collections.abc import Callable

from workflow_engine.errors import EventRefused
from workflow_engine.model.events import PAYLOAD_LIMIT, Payload

Write = Callable[[Payload], str]


class _Writer:
    """How this process writes payloads; the application's redaction is a matter of the whole process."""

    write: Write = staticmethod(Payload.model_dump_json)


def redact_with(redaction: Write | None) -> None:
    """Write every payload of this process with ``redaction`` from now on; None writes them as they are."""
    _Writer.write = staticmethod(redaction or Payload.model_dump_json)


def payload_as_json(payload: Payload) -> str:
    """Return a payload as JSON text.

    Raises:
        EventRefused: it is too large to be an event.
    """
    text = _Writer.write(payload)
    size = len(text) if text.isascii() else len(text.encode())
    if size > PAYLOAD_LIMIT:
        raise EventRefused(payload.event, f"has a payload of {size:,} bytes; {PAYLOAD_LIMIT:,} are allowed")
    return text

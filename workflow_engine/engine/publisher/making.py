"""How a payload becomes an event: checked, bounded, written as JSON."""

from workflow_engine.engine.payloads import payload_as_json
from workflow_engine.model.events import MESSAGE_LIMIT, Event, Payload


def event_of(payload: Payload, step: str | None = None, attempt: int | None = None) -> Event:
    """Return a payload as an event of a step, or of none."""
    return Event(name=payload.event, step=step, attempt=attempt, data=payload_as_json(payload))


def bounded_if_any(reason: str | None) -> str | None:
    """Return a text, if there is one, cut to what an event keeps."""
    return None if reason is None else bounded(reason)


def bounded(message: str) -> str:
    """Return a text, cut to what an event keeps."""
    return message if len(message) <= MESSAGE_LIMIT else message[: MESSAGE_LIMIT - 1] + "…"

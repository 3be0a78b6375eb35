"""Frames: what is sent on a stream, as ``text/event-stream`` has it; an event is written once for all clients."""

import json
from collections.abc import Mapping
from typing import Any, Final

from workflow_engine.model.codec import event_to_json
from workflow_engine.relay.live import Told

GAP: Final = "gap"
"""Events that this client does not get: it was too slow, or the log does not have them any more."""
COALESCED: Final = "coalesced"
"""Events that came faster than the limit, told of as one."""
END: Final = "end"
"""The stream ends, and would not be let in again as it is."""


class Frame:
    """An event on its way to clients."""

    __slots__ = ("_data", "events", "name", "position", "told")

    def __init__(self, told: Told) -> None:
        """Carry an event."""
        self.told = told
        """The event, and who submitted its run."""
        self.position = told.event.position
        self.name = told.event.name
        self.events = 1
        """For how many events it stands."""
        self._data: bytes | None = None

    @property
    def data(self) -> bytes:
        """What is sent."""
        if self._data is None:
            self._data = block(self.name, self.position, event_to_json(self.told.event))
        return self._data


class Notice:
    """What is sent in place of some events, up to a place of the log."""

    __slots__ = ("data", "events", "name", "position")

    def __init__(self, name: str, position: int, events: int, values: Mapping[str, Any]) -> None:
        """Stand for ``events`` events."""
        self.name = name
        self.position: int | None = position
        self.events = events
        self.data = block(name, position, json.dumps(values))


def block(name: str, position: int | None, text: str) -> bytes:
    """Return an event of the stream: one line of JSON, as it has no line breaks of its own."""
    place = "" if position is None else f"id: {position}\n"
    return f"{place}event: {name}\ndata: {text}\n\n".encode()


def opening(retry_seconds: float, position: int) -> bytes:
    """Return what a stream begins with: when to come again, and from where, if it ends before there was an event."""
    return f"retry: {retry_seconds * 1_000:.0f}\nid: {position}\n\n".encode()


def heartbeat(position: int | None) -> bytes:
    """Return a comment, which nobody is told of, and up to where there was nothing for this client."""
    return b": heartbeat\n\n" if position is None else f": heartbeat\nid: {position}\n\n".encode()

"""In what order events are handed on: by their place in the log, and past no gap into which one may yet come. Pure."""

from bisect import bisect_right
from collections.abc import Sequence
from typing import Generic, Protocol, TypeVar

from workflow_engine.model.records import EventRecord


class Placed(Protocol):
    """What has a place in the log."""

    @property
    def name(self) -> str:
        """Of the event."""

    @property
    def position(self) -> int | None:
        """The place."""


P = TypeVar("P", bound=Placed)


def in_order(events: Sequence[EventRecord], *, after: int, settled: int) -> Sequence[EventRecord]:
    """Return the events that may be handed on to one who has everything up to ``after``: those before an open gap."""
    if not events or place_of(events[-1]) - after == len(events):
        return events
    last = after
    for number, event in enumerate(events):
        place = place_of(event)
        if place - 1 > max(last, settled):
            return events[:number]
        last = place
    return events


def place_of(event: Placed) -> int:
    """Return an event's place in the log; whatever was read from there has one."""
    if event.position is None:
        raise ValueError(f"{event.name} was not read from the event log")
    return event.position


class Window(Generic[P]):
    """A stretch of the log in memory: every event after ``floor`` up to ``position``."""

    def __init__(self, position: int, *, size: int) -> None:
        """Begin, empty, at ``position``; keep at least the last ``size`` events."""
        self.floor = position
        self.position = position
        self._size = size
        self._events: list[P] = []
        self._places: list[int] = []

    def __len__(self) -> int:
        """Return how many events are in memory."""
        return len(self._events)

    def extend(self, events: Sequence[P]) -> None:
        """Add the events that follow."""
        if not events:
            return
        self._events.extend(events)
        self._places.extend(place_of(event) for event in events)
        self.position = self._places[-1]
        surplus = len(self._events) - self._size
        if surplus > self._size:  # seldom, as it moves the rest
            self.floor = self._places[surplus - 1]
            del self._events[:surplus], self._places[:surplus]

    def after(self, position: int, limit: int) -> list[P]:
        """Return up to ``limit`` events after ``position``, which is not below the floor."""
        start = bisect_right(self._places, position)
        return self._events[start : start + limit]

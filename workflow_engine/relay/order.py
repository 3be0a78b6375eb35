"""In what order events are handed on: by their place in the log, and past no gap into which one may yet come. Pure.

Places are taken before the commit, so a later one may be seen earlier, and a rolled-back transaction leaves its
places empty for ever. Whoever has taken a place holds a lock on the log until its events can be seen or never will
be; so a gap is settled once everybody is gone who held that lock after the gap was seen. It needs a read after that
to know what came into it. (The snapshot's xmin and xmax do not tell: a transaction that has taken a place may have an
id above the xmax of a snapshot taken later, which is only one past the highest id that is over; or none yet.)
"""

from bisect import bisect_right
from collections.abc import Sequence
from typing import Final, Generic, Protocol, TypeVar

from workflow_engine.model.records import EventRecord

PREPARED: Final = "prepared"
"""A transaction prepared for two-phase commit: it has lost the name it was seen under before."""
_MOST_WAITS: Final = 32


class Placed(Protocol):
    """What has a place in the log."""

    @property
    def name(self) -> str:
        """Of the event."""

    @property
    def position(self) -> int | None:
        """The place."""


P = TypeVar("P", bound=Placed)


class Horizon:
    """Up to which place of the log no event can come any more that is not there."""

    def __init__(self) -> None:
        """Know nothing yet."""
        self.settled = 0
        self._waits: list[tuple[int, frozenset[str]]] = []

    def observe(self, seen: int, writers: frozenset[str]) -> None:
        """Take note of who was appending, asked after the place ``seen`` was read; reads after this may rely on it."""
        waits = [(place, _left_of(waited, writers)) for place, waited in [*self._waits, (seen, writers)]]
        self.settled = max([self.settled, *(place for place, left in waits if not left)])
        waits = [(place, left) for place, left in waits if left and place > self.settled]
        if len(waits) > _MOST_WAITS:  # any may be left out: the one after it stands for it, only later
            del waits[_MOST_WAITS // 2]
        self._waits = waits


def _left_of(waited: frozenset[str], writers: frozenset[str]) -> frozenset[str]:
    return waited if PREPARED in writers else waited & writers


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

"""Pace: at most so many events in a second; what comes faster is told of by one notice."""

from collections import Counter
from typing import Final

from workflow_engine.api.streams.frames import COALESCED, Frame, Notice
from workflow_engine.relay.order import place_of

WINDOW: Final = 1.0
"""Seconds."""


class Pace:
    """Lets the first events of a second pass, counts the others, and tells of them when the second is over."""

    def __init__(self, most: int) -> None:
        """Let ``most`` pass in a second."""
        self._most = most
        self._ends_at = float("-inf")
        self._passed = 0
        self._after = 0
        self._until = 0
        self._names: Counter[str] = Counter()

    @property
    def is_holding(self) -> bool:
        """Whether there is something to tell of."""
        return bool(self._names)

    def passes(self, frame: Frame, after: int, now: float) -> bool:
        """Return whether a frame passes; call ``notice`` first. ``after`` is the place of what passed before."""
        if now >= self._ends_at:
            self._ends_at, self._passed = now + WINDOW, 0
        if self._passed < self._most and not self._names:
            self._passed += 1
            return True
        if not self._names:
            self._after = after
        self._names[frame.name] += 1
        self._until = place_of(frame)
        return False

    def notice(self, now: float) -> Notice | None:
        """Return what stands for the events that did not pass, once their second is over."""
        if not self._names or now < self._ends_at:
            return None
        number = self._names.total()
        values = {"after": self._after, "until": self._until, "events": number, "names": dict(self._names)}
        self._names = Counter()
        return Notice(COALESCED, self._until, number, values)

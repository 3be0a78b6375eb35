"""Memory: the last events, for clients that were away for a moment; those of a run are found without the others."""

from collections import defaultdict
from collections.abc import Sequence
from typing import Final

from workflow_engine.api.streams.frames import Frame
from workflow_engine.ids import RunId
from workflow_engine.relay.order import Window, place_of

SIZE: Final = 10_000
"""Events."""


class Memory:
    """Every event after ``floor`` up to ``position``."""

    def __init__(self, position: int) -> None:
        """Begin, empty, at ``position``."""
        self._window: Window[Frame] = Window(position, size=SIZE)
        self._runs: defaultdict[RunId, list[Frame]] = defaultdict(list)

    @property
    def floor(self) -> int:
        """What comes after this place is known."""
        return self._window.floor

    @property
    def position(self) -> int:
        """The place of the last event."""
        return self._window.position

    def extend(self, frames: Sequence[Frame]) -> None:
        """Add the events that follow; forget the oldest now and then."""
        floor = self.floor
        self._window.extend(frames)
        for frame in frames:
            if (run_id := frame.told.event.run_id) is not None:
                self._runs[run_id].append(frame)
        if self.floor != floor:
            self._forget(self.floor)

    def after(self, place: int, limit: int, run_id: RunId | None) -> tuple[Sequence[Frame], int]:
        """Return up to ``limit`` events after a place that is not below the floor, and up to where that is all.

        Args:
            place: where the client is.
            limit: how many at most.
            run_id: only events of this run; None for those of all.
        """
        if run_id is None:
            found: Sequence[Frame] = self._window.after(place, limit)
        else:
            found = [frame for frame in self._runs.get(run_id, ()) if place_of(frame) > place][:limit]
        return found, place_of(found[-1]) if len(found) == limit else self.position

    def _forget(self, floor: int) -> None:
        for run_id, frames in list(self._runs.items()):
            kept = [frame for frame in frames if place_of(frame) > floor]
            if kept:
                self._runs[run_id] = kept
            else:
                del self._runs[run_id]

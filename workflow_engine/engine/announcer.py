"""Announcer: makes known, after a commit, what it has published."""

from collections.abc import Callable, Sequence

from workflow_engine.engine.outcome import Told
from workflow_engine.model.records import EventRecord


def _unheard() -> None:
    """Nobody is told; relays look by themselves now and then."""


class Announcer:
    """Rings for the relays, and hands this process's inline subscribers the events they want."""

    def __init__(
        self,
        ring: Callable[[], None] = _unheard,
        inline: Callable[[Sequence[EventRecord]], None] | None = None,
        *,
        wanted: frozenset[str] = frozenset(),
    ) -> None:
        """Ring with ``ring``; give the events named in ``wanted`` to ``inline``, which never raises."""
        self._ring = ring
        self._inline = inline
        self.wanted = wanted if inline is not None else frozenset()
        """The events that records are made of."""

    def announce(self, told: Told) -> None:
        """Make known what a transaction has published, if it has."""
        if not told.published:
            return
        self._ring()
        if self._inline is not None and told.records:
            self._inline(told.records)

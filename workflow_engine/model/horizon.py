"""Horizon: up to which place of the log no event can come any more. Pure.

Places are taken before the commit, so a later one may be seen earlier, and a rolled-back transaction leaves its
places empty for ever. Whoever has taken a place holds a lock on the log until its events can be seen or never will
be; so a gap is settled once everybody is gone who held that lock after the gap was seen. It needs a read after that
to know what came into it. (The snapshot's xmin and xmax do not tell: a transaction that has taken a place may have an
id above the xmax of a snapshot taken later, which is only one past the highest id that is over; or none yet.)
"""

from typing import Final

PREPARED: Final = "prepared"
"""A transaction prepared for two-phase commit: it has lost the name it was seen under before."""
_MOST_WAITS: Final = 32


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

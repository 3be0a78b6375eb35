"""LongSteps: what waits in a process behind a step that takes long after all is sent to others."""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from threading import Event as Flag
from threading import Lock, Thread
from time import monotonic
from typing import Final

logger = logging.getLogger(__name__)

HELD_UP: Final = 0.25
"""Seconds that a step may hold up those behind it; fifty times what was expected of it."""
_LOOK: Final = 0.05
"""Between two looks, while there is anything to look at."""


@dataclass(slots=True)
class _Watched:
    """A step that runs while others wait behind it."""

    send_others: Callable[[], None]
    since: float | None
    """When it began, or the others could not be sent; None once they are."""


class LongSteps:
    """A thread that looks at the clock while some steps wait behind another; it does nothing else."""

    def __init__(self) -> None:
        """Start no thread yet: none survives a fork."""
        self._running: dict[int, _Watched] = {}
        self._lock = Lock()
        self._is_needed = Flag()
        self._thread: Thread | None = None

    def begin(self, key: int, send_others: Callable[[], None]) -> None:
        """A step begins behind which others wait; call ``send_others`` if it has not ended in good time."""
        self._running[key] = _Watched(send_others, monotonic())
        if self._thread is None:
            self._start()
        if not self._is_needed.is_set():
            self._is_needed.set()

    def end(self, key: int) -> None:
        """The step has ended, or nothing waits behind it."""
        self._running.pop(key, None)

    def _start(self) -> None:
        with self._lock:
            if self._thread is None:
                self._thread = Thread(target=self._run, name="wfe-long-steps", daemon=True)
                self._thread.start()

    def _run(self) -> None:
        nap = Flag()
        while self._is_needed.wait():
            self._is_needed.clear()  # before the look: whoever begins after it sets it again
            while any(watched.since is not None for watched in list(self._running.values())):
                nap.wait(_LOOK)
                self._look()

    def _look(self) -> None:
        latest = monotonic() - HELD_UP
        for watched in list(self._running.values()):
            if watched.since is not None and watched.since <= latest:
                watched.since = None if _is_sent(watched.send_others) else monotonic()


def _is_sent(send_others: Callable[[], None]) -> bool:
    try:
        send_others()
    except Exception:  # whatever it is: the thread goes on, for this step and the others
        logger.exception("cannot send what waits behind a long step; it is tried again")
        return False
    return True

"""CircuitBreaker: stops asking whoever does not answer, and asks again, seldom, until it does."""

import logging
import os
import weakref
from collections.abc import Callable
from datetime import timedelta
from enum import StrEnum
from functools import partial
from random import Random
from threading import Lock
from time import monotonic
from typing import Final

logger = logging.getLogger(__name__)

_FACTOR: Final = 2.0
_JITTER: Final = 0.1
_LONGEST_PROBE: Final = timedelta(seconds=30)
"""A probe that nobody has heard of for so long is lost with whoever made it: the next one may be made."""


class CircuitState(StrEnum):
    """Whether tries are made."""

    CLOSED = "closed"
    """Yes: the other side answers."""
    HALF_OPEN = "half_open"
    """One is, to see whether the other side answers again."""
    OPEN = "open"
    """None is: too many in a row have failed."""

    @property
    def level(self) -> int:
        """The state as a number for gauges: 0 closed, 1 half-open, 2 open."""
        return list(CircuitState).index(self)


class CircuitBreaker:
    """Counts failures in a row; safe to share between threads, and begun anew in a forked process.

    Ask ``admit`` before a try and tell how it went by ``succeeded`` or ``failed``. While ``is_calm`` neither the
    question nor the success need be said: that one attribute is all that a hot path has to read.
    """

    _until: float
    """When, on its clock, the next try may be made."""
    _opened_at: float

    def __init__(
        self,
        name: str,
        *,
        failures: int = 3,
        open_for: timedelta = timedelta(seconds=1),
        longest: timedelta = timedelta(seconds=10),
        monotonic: Callable[[], float] = monotonic,
        random: Random | None = None,
    ) -> None:
        """Open after so many ``failures`` in a row: ``open_for``, then twice as long each time, up to ``longest``."""
        self.name = name
        self.is_calm = True
        """The circuit is closed and the last try went well."""
        self.openings = 0
        """How often tries were stopped; a probe that fails stops them again."""
        self._limit = failures
        self._first, self._longest = open_for.total_seconds(), longest.total_seconds()
        self._monotonic = monotonic
        self._random = random or Random()  # noqa: S311  # spreads tries, keeps no secret
        self._watchers: list[Callable[[CircuitState], None]] = []
        self._begin()
        os.register_at_fork(after_in_child=partial(_begin_anew, weakref.ref(self)))

    @property
    def state(self) -> CircuitState:
        """Whether tries are made."""
        return self._state

    @property
    def is_inviting(self) -> bool:
        """Whether the circuit is half-open, and nobody is trying."""
        return self._state is CircuitState.HALF_OPEN and self._monotonic() >= self._until

    def watch(self, watcher: Callable[[CircuitState], None]) -> None:
        """Tell ``watcher`` of each change of state, in the thread that made it; it must return at once."""
        self._watchers.append(watcher)

    def admit(self) -> bool:
        """Return whether to try now; if so in a circuit that was open, everybody else waits for how it goes."""
        with self._lock:
            if self._state is CircuitState.CLOSED:
                return True
            now = self._monotonic()
            if now < self._until:
                return False
            changed = self._move(CircuitState.HALF_OPEN)
            self._until = now + _LONGEST_PROBE.total_seconds()
        if changed:
            logger.info("circuit %s: half-open, trying once", self.name)
            self._tell(CircuitState.HALF_OPEN)
        return True

    def wait(self) -> timedelta:
        """Return how long until a try may be made: zero if one may be, a little more than that to each who asks."""
        with self._lock:
            if self._state is CircuitState.CLOSED:
                return timedelta()
            open_for = self._until - self._monotonic() if self._state is CircuitState.OPEN else self._first
        return timedelta(seconds=max(open_for, 0.0) + self._random.uniform(0, _JITTER * self._first))

    def succeeded(self) -> None:
        """A try went well."""
        with self._lock:
            changed, seconds = self._move(CircuitState.CLOSED), self._monotonic() - self._opened_at
            self._failed = self._openings_in_a_row = 0
            self.is_calm = True
        if changed:
            logger.info("circuit %s: closed again after %.1f s", self.name, seconds)
            self._tell(CircuitState.CLOSED)

    def failed(self, reason: str) -> None:
        """A try went wrong; ``reason`` is for the log."""
        with self._lock:
            self.is_calm = False
            self._failed += 1
            if self._state is CircuitState.OPEN:
                return  # it began before the circuit opened
            if self._state is CircuitState.CLOSED and self._failed < self._limit:
                return
            failed, seconds = self._failed, self._open()
        logger.warning("circuit %s: open for %.1f s after %d failure(s): %s", self.name, seconds, failed, reason)
        self._tell(CircuitState.OPEN)

    def abandoned(self) -> None:
        """A try ended without telling whether the other side answers: whoever comes next may make another."""
        with self._lock:
            if self._state is CircuitState.HALF_OPEN:
                self._until = self._monotonic()

    def _begin(self) -> None:
        self._lock = Lock()
        self._state = CircuitState.CLOSED
        self._failed = self._openings_in_a_row = 0
        self._until = self._opened_at = 0.0
        self.is_calm = True

    def _open(self) -> float:
        now = self._monotonic()
        if self._openings_in_a_row == 0:
            self._opened_at = now
        # The exponent is bounded only so that a week of failures is no overflow.
        seconds = min(self._first * _FACTOR ** min(self._openings_in_a_row, 60), self._longest)
        seconds *= self._random.uniform(1 - _JITTER, 1 + _JITTER)
        self._openings_in_a_row += 1
        self.openings += 1
        self._move(CircuitState.OPEN)
        self._until = now + seconds
        return seconds

    def _move(self, state: CircuitState) -> bool:
        changed, self._state = self._state is not state, state
        return changed

    def _tell(self, state: CircuitState) -> None:
        for watcher in self._watchers:
            watcher(state)


def _begin_anew(circuit: "weakref.ref[CircuitBreaker]") -> None:
    """A forked process has a lock that may be held, and maybe a probe that its parent makes."""
    if (alive := circuit()) is not None:
        alive._begin()  # noqa: SLF001  # its own module's

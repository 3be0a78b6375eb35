"""Tail: the end of the event log, read once for all subscribers of this process that are near it."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from threading import Condition, Lock, Thread
from time import monotonic
from typing import Final, Protocol

from workflow_engine.errors import DatabaseUnavailable
from workflow_engine.model.horizon import Horizon
from workflow_engine.model.records import EventRecord
from workflow_engine.relay.order import Window, in_order, place_of

logger = logging.getLogger(__name__)

PAGE: Final = 1_000
"""Events in one read."""
MEMORY: Final = 10_000
"""Events that stay in memory for subscribers that are a little behind."""
FIRST_LOOK: Final = 0.005
"""Seconds after which a gap is looked at again: it rings no bell when it closes by a rollback."""
LAST_LOOK: Final = 0.5
_BREATH: Final = 0.02
"""Seconds from one read to the next: one that waits for more transactions costs hardly more than one that does not."""
_BLOCKED_BREATH: Final = 0.02
"""The same at a gap that stays, however often the bell rings of what is behind it."""


class Log(Protocol):
    """What is asked of the event log."""

    def read(self, after: int, limit: int) -> Sequence[EventRecord]:
        """Return committed events after a place, in order."""

    def head(self) -> int:
        """Return the largest place that can be seen."""

    def writers(self) -> frozenset[str]:
        """Return who may have taken a place that cannot be seen yet."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """One read of the log: what may be handed on, and whether there is more that may not, or not yet."""

    events: Sequence[EventRecord]
    is_blocked: bool
    is_full: bool


class Backoff:
    """How long to wait until a gap is looked at again."""

    def __init__(self) -> None:
        """Begin with the shortest wait."""
        self._seconds = FIRST_LOOK

    def next(self, look: Look, otherwise: float) -> float:
        """Return the seconds to wait after a read; ``otherwise`` when nothing keeps us from what there is."""
        if look.events or not look.is_blocked:
            self._seconds = FIRST_LOOK
        if look.is_full and not look.is_blocked:
            return 0.0
        if not look.is_blocked:
            return otherwise
        seconds, self._seconds = self._seconds, min(self._seconds * 2, LAST_LOOK)
        return seconds


class Tail:
    """Reads on when a subscriber has nothing left and the bell rang, a gap may have closed or much time has passed."""

    def __init__(self, log: Log, position: int, *, poll_seconds: float) -> None:
        """Begin at a place of the log; without a bell, look every ``poll_seconds``."""
        self._log = log
        self.poll_seconds = poll_seconds
        self._horizon = Horizon()
        self._horizon_lock = Lock()
        lock = Lock()
        self._changed = Condition(lock)
        self._waiting = _Waiting(lock)
        self._window: Window[EventRecord] = Window(position, size=MEMORY)
        self._backoff = Backoff()
        self._rings = 0
        self._heard = -1  # the first read waits for no bell
        self._due = self._not_before = monotonic()
        self._closed = False

    def start(self) -> None:
        """Read in a thread of its own."""
        Thread(target=self.run, name="wfe-relay-tail", daemon=True).start()

    def run(self) -> None:
        """Read whenever there is reason to, until ``close`` or the database is gone."""
        try:
            while self._wait_for_work():
                self._read_on()
        except DatabaseUnavailable as error:
            logger.debug("the tail ends: %s", error)  # the session it belongs to is over, and says so
        except Exception:
            logger.exception("reading the event log failed; the relay begins anew")
        finally:
            self.close()

    def begin_at(self, position: int) -> None:
        """Go ahead to a place that a subscriber has come to, unless it is near; others read the log till then."""
        with self._changed:
            if position > self._window.position + MEMORY:
                self._window = Window(position, size=MEMORY)
                self._due = monotonic()
                self._wake_all()

    def ring(self) -> None:
        """Say that there are new events."""
        with self._changed:
            self._rings += 1
            self._changed.notify_all()

    def nudge(self) -> None:
        """Make those who wait look whether they still should."""
        with self._changed:
            self._wake_all()

    def close(self) -> None:
        """Stop; nobody waits any more."""
        with self._changed:
            self._closed = True
            self._wake_all()

    @property
    def is_closed(self) -> bool:
        """Whether it has stopped."""
        return self._closed

    def covers(self, position: int) -> bool:
        """Return whether what follows ``position`` is in memory, or will be first."""
        return self._window.floor <= position

    def after(
        self, position: int, limit: int, wait: float, stopped: Callable[[], bool], *, enough: int = 1
    ) -> list[EventRecord] | None:
        """Return what follows ``position`` once it is ``enough``, or ``wait`` seconds are over; None if not covered."""
        deadline = monotonic() + wait
        with self._changed:
            while self.covers(position):
                left = deadline - monotonic()
                is_enough = self._window.position - position >= enough
                if is_enough or left <= 0 or self._closed or stopped():
                    return self._window.after(position, limit)
                if not self._waiting:
                    self._changed.notify_all()  # the reader rests while nobody waits
                self._waiting.wait_for(position + enough, left)
        return None

    def look(self, after: int) -> Look:
        """Read a page of the log; where a gap is open, find out who might still fill it."""
        page = self._log.read(after, PAGE)
        events = in_order(page, after=after, settled=self._horizon.settled)
        if len(events) == len(page):
            return Look(events=events, is_blocked=False, is_full=len(page) == PAGE)
        last = place_of(page[-1])
        if len(page) == PAGE:  # far behind: settle all that there is at once
            last = max(last, self._log.head())
        writers = self._log.writers()
        with self._horizon_lock:
            self._horizon.observe(last, writers)
            gap_ends = place_of(page[len(events)]) - 1
            is_blocked = self._horizon.settled < gap_ends
        return Look(events=events, is_blocked=is_blocked, is_full=True)

    def pause(self, seconds: float, stopped: Callable[[], bool]) -> None:
        """Wait for the bell, or so many seconds."""
        deadline = monotonic() + seconds
        with self._changed:
            rings = self._rings
            while rings == self._rings and not self._closed and not stopped():
                left = deadline - monotonic()
                if left <= 0:
                    return
                self._changed.wait(left)

    def _wake_all(self) -> None:
        self._changed.notify_all()
        self._waiting.wake()

    def _wait_for_work(self) -> bool:
        with self._changed:
            while not self._closed:
                now = monotonic()
                due = self._not_before if self._rings != self._heard else max(self._due, self._not_before)
                if self._waiting and now >= due:
                    self._heard = self._rings
                    return True
                self._changed.wait(due - now if self._waiting else None)
        return False

    def _read_on(self) -> None:
        window = self._window
        look = self.look(window.position)
        pause = self._backoff.next(look, self.poll_seconds)
        with self._changed:
            if self._window is not window:  # somebody began further ahead meanwhile
                return
            window.extend(look.events)
            now = monotonic()
            self._due = now + pause
            self._not_before = now + min(pause, _BLOCKED_BREATH if look.is_blocked else _BREATH)
            self._waiting.wake(window.position)


class _Waiting:
    """Those who wait for the log to reach a place, each with a condition of its own: nobody is woken for too little."""

    def __init__(self, lock: Lock) -> None:
        self._lock = lock
        self._conditions: dict[Condition, int] = {}

    def __bool__(self) -> bool:
        return bool(self._conditions)

    def wait_for(self, place: int, seconds: float) -> None:
        condition = Condition(self._lock)
        self._conditions[condition] = place
        condition.wait(seconds)
        del self._conditions[condition]

    def wake(self, place: int | None = None) -> None:
        """Wake those whose place the log has reached; all of them where none is given."""
        for condition, wanted in self._conditions.items():
            if place is None or wanted <= place:
                condition.notify()


class Feed:
    """What one subscriber reads: the tail's memory near the head, the log itself far behind it."""

    def __init__(self, tail: Tail) -> None:
        """Read beside others of ``tail``."""
        self._tail = tail
        self._page: Window[EventRecord] = Window(0, size=0)
        self._backoff = Backoff()

    def after(
        self,
        position: int,
        limit: int,
        *,
        wait: float,
        stopped: Callable[[], bool] = lambda: False,
        enough: int = 1,
    ) -> Sequence[EventRecord]:
        """Return up to ``limit`` events after ``position``, once there are ``enough`` or ``wait`` seconds are over.

        Raises:
            DatabaseUnavailable: PostgreSQL does not answer.
        """
        found = self._tail.after(position, limit, wait, stopped, enough=enough)
        return self._after_behind(position, limit, wait, stopped) if found is None else found

    def _after_behind(
        self, position: int, limit: int, wait: float, stopped: Callable[[], bool]
    ) -> Sequence[EventRecord]:
        if not self._page.floor <= position < self._page.position:
            look = self._tail.look(position)
            self._page = Window(position, size=PAGE)
            self._page.extend(look.events)
            if not look.events:
                self._tail.pause(min(self._backoff.next(look, self._tail.poll_seconds), wait), stopped)
                return []
        return self._page.after(position, limit)

"""Kept: an answer that is asked for once in a while, however many want it."""

from collections.abc import Callable
from threading import Lock
from time import monotonic
from typing import Final, Generic, TypeVar

T = TypeVar("T")

KEPT_SECONDS: Final = 5.0
"""Every instrument of a page needs the answer, and there may be several readers."""


class Kept(Generic[T]):
    """Asks again when its answer is older than ``KEPT_SECONDS``; the time that asking takes does not count."""

    def __init__(self, ask: Callable[[], T], monotonic: Callable[[], float] = monotonic) -> None:
        """Keep what ``ask`` returns."""
        self._ask = ask
        self._monotonic = monotonic
        self._lock = Lock()
        self._answers: list[T] = []
        self._asked_at = 0.0

    def __call__(self) -> T:
        """Return the answer."""
        with self._lock:
            if not self._answers or self._monotonic() - self._asked_at >= KEPT_SECONDS:
                self._answers = [self._ask()]
                self._asked_at = self._monotonic()
            return self._answers[0]

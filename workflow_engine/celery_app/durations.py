"""How long this process's handlers take: what is short need not be sent anywhere else."""

from typing import Any, Final

SHORT: Final = 0.005
"""Seconds: about what a message's way through the broker takes."""
_WEIGHT: Final = 0.1
"""Of the last call, in what is expected of the next one."""
_LONGEST: Final = 8 * SHORT
"""What a longer call counts as: one that is an exception leaves short what was."""


class Durations:
    """By handler: steps of one function are alike, however many there are."""

    def __init__(self) -> None:
        """Know nothing."""
        self._seconds: dict[Any, float] = {}

    def note(self, handler: Any, seconds: float) -> None:
        """Remember a call: the first one is what is expected from then on, each later one changes that a little."""
        key, seconds = _key(handler), min(seconds, _LONGEST)
        known = self._seconds.get(key, seconds)
        self._seconds[key] = known + (seconds - known) * _WEIGHT

    def is_short(self, handler: Any) -> bool:
        """Return whether a call is expected to take less time than a message's way; unknown is not short."""
        return self._seconds.get(_key(handler), SHORT) < SHORT


def _key(handler: Any) -> Any:
    return getattr(handler, "__code__", handler)

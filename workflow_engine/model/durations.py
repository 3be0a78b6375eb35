"""Durations for people."""

from datetime import timedelta
from typing import Final

_TWO_DECIMALS: Final = 10
"""Seconds below which they say something."""
_MINUTE: Final = 60
_HOUR: Final = 60


def duration(length: timedelta) -> str:
    """Return a duration for people: ``0.04 s``, ``12.3 s``, ``4 min 05 s``, ``2 h 03 min``; never less than nothing."""
    seconds = max(length.total_seconds(), 0.0)
    if seconds < _TWO_DECIMALS:
        return f"{seconds:.2f} s"
    if seconds < _MINUTE:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(int(seconds), _MINUTE)
    return f"{minutes} min {rest:02d} s" if minutes < _HOUR else f"{minutes // _HOUR} h {minutes % _HOUR:02d} min"

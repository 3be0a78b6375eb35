"""When a run is due, how long before somebody is reminded of it, and how long it may take: checked values."""

import math
from collections.abc import Iterable, Sequence
from datetime import timedelta
from enum import Enum
from typing import Annotated, Any, Final, Literal

from pydantic import AfterValidator, BeforeValidator, Field, PlainSerializer

LONGEST: Final = timedelta(days=366)
MOST_REMINDERS: Final = 20


class Unchanged(Enum):
    """The type of ``UNCHANGED``."""

    UNCHANGED = "unchanged"


UNCHANGED: Final = Unchanged.UNCHANGED
"""Stands for what is not given, where None is a value."""
Unsaid = Literal[Unchanged.UNCHANGED]


def as_length(value: Any) -> timedelta:
    """Return seconds or a timedelta as a timedelta.

    Raises:
        ValueError: neither, not more than 0 s, or over 366 days.
    """
    if isinstance(value, bool) or not isinstance(value, int | float | timedelta):
        raise ValueError(f"must be seconds or a timedelta, not {value!r}")  # noqa: TRY004  Pydantic takes no other
    seconds = value.total_seconds() if isinstance(value, timedelta) else value
    if math.isnan(seconds) or not 0 < seconds <= LONGEST.total_seconds():
        raise ValueError(f"must be more than 0 s and at most {LONGEST.days} days, not {value!r}")
    length = timedelta(seconds=seconds)
    if not length:
        raise ValueError(f"must be a microsecond at least, not {value!r}")
    return length


def as_seconds(lengths: Iterable[timedelta]) -> list[float]:
    """Return lengths as seconds."""
    return [length.total_seconds() for length in lengths]


def _listed(value: Any) -> Any:
    if isinstance(value, list | tuple):
        return value
    raise ValueError(f"must be a list of seconds or timedeltas, not {value!r}")


def _unique(lengths: Sequence[timedelta]) -> tuple[timedelta, ...]:
    if len(set(lengths)) != len(lengths):
        raise ValueError("has the same time twice")
    return tuple(sorted(lengths, reverse=True))


Length = Annotated[
    timedelta, BeforeValidator(as_length), PlainSerializer(timedelta.total_seconds, return_type=float, when_used="json")
]
"""Seconds or a timedelta: more than 0 s, at most 366 days; seconds as JSON."""

Reminders = Annotated[
    tuple[Length, ...], Field(max_length=MOST_REMINDERS), BeforeValidator(_listed), AfterValidator(_unique)
]
"""Up to 20 lengths, none twice; the longest, which comes first, is the first one."""

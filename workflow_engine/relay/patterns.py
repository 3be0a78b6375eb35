"""Names and globs of events, as the catalogue's names; and what was probably meant where there is none."""

from collections.abc import Iterable
from fnmatch import fnmatchcase
from typing import Final

from workflow_engine.definitions.names import did_you_mean
from workflow_engine.errors import SubscriberError
from workflow_engine.model.events import CATALOGUE

ENTITIES: Final = tuple(dict.fromkeys(name.partition(".")[0] for name in CATALOGUE))
"""What events are about: the part of their names before the dot."""

_ABOUT_DELIVERY: Final = "subscriber."
"""Events about delivery itself: a glob gets them only if it says so, or each dead letter might make another."""

_GLOB: Final = frozenset("*?[")


def is_glob(pattern: str) -> bool:
    """Whether a pattern can match more than the event of its own name."""
    return not _GLOB.isdisjoint(pattern)


def matches(pattern: str, name: str) -> bool:
    """Whether a name or glob means the event of that name."""
    if name.startswith(_ABOUT_DELIVERY) and not pattern.startswith(_ABOUT_DELIVERY):
        return False
    return fnmatchcase(name, pattern)


def events_of(pattern: str) -> tuple[str, ...]:
    """Return the catalogue's events that a name or glob means, in the catalogue's order.

    Raises:
        SubscriberError: there is none; the message suggests the closest one.
    """
    found = tuple(name for name in CATALOGUE if matches(pattern, name))
    if found:
        return found
    if is_glob(pattern):
        meant = suggestion(pattern, (f"{entity}.*" for entity in ENTITIES), otherwise=_known())
        raise SubscriberError(f"no event matches {pattern!r}: {meant}")
    raise SubscriberError(f"unknown event {pattern!r}: {suggestion(pattern, CATALOGUE, otherwise=_known())}")


def suggestion(name: str, known: Iterable[str], *, otherwise: str = "") -> str:
    """Return ``did you mean 'x'?`` for the closest known name; ``otherwise`` where none is close."""
    return did_you_mean(name, known).strip(" ()") or otherwise


def _known() -> str:
    return "events are " + ", ".join(f"{entity}.*" for entity in ENTITIES)

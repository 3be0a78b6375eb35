"""Pages of a list, and the cursors that lead from one to the next."""

import binascii
import hashlib
import struct
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final, Generic, TypeVar
from uuid import UUID

from workflow_engine.errors import InvalidInput
from workflow_engine.ids import RunId

PAGE_LIMIT: Final = 1_000
"""Runs that one page may hold."""
_FORM: Final = 1
_CURSOR: Final = struct.Struct(">Bq16s8s")
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_LONGEST: Final = 100

Item_co = TypeVar("Item_co", covariant=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Page(Generic[Item_co]):
    """Some of a list."""

    items: Sequence[Item_co]
    next: str | None
    """What to ask the next page with; None: this is the last. A page may be short, or empty, and yet have a next one:
    none looks at more than some thousands of runs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A place in a list of runs: just behind the run of this id, which was submitted at this moment."""

    moment: datetime
    run_id: RunId


def as_cursor(place: Place, question: str) -> str:
    """Return what leads to a place in the answer to ``question``, and to no other's."""
    microseconds = (place.moment - _EPOCH) // timedelta(microseconds=1)
    packed = _CURSOR.pack(_FORM, microseconds, UUID(place.run_id).bytes, _digest(question))
    return urlsafe_b64encode(packed).decode()


def parse_cursor(text: str, question: str) -> Place:
    """Return the place that a cursor leads to.

    Raises:
        InvalidInput: it is none, or one of a list with another filter or order.
    """
    try:
        if len(text) > _LONGEST:
            raise InvalidInput("cursor", _NO_CURSOR)
        form, microseconds, run_id, digest = _CURSOR.unpack(urlsafe_b64decode(text.encode("ascii")))
        place = Place(moment=_EPOCH + timedelta(microseconds=microseconds), run_id=RunId(str(UUID(bytes=run_id))))
    except (AttributeError, TypeError, ValueError, OverflowError, binascii.Error, struct.error):
        raise InvalidInput("cursor", _NO_CURSOR) from None
    if form != _FORM:
        raise InvalidInput("cursor", "is of another release; begin with the first page again")
    if digest != _digest(question):
        raise InvalidInput("cursor", "belongs to a list with another filter or order; ask for its first page")
    return place


def check_limit(limit: object, most: int = PAGE_LIMIT) -> int:
    """Return how many a page may hold.

    Raises:
        InvalidInput: it is no number from 1 to ``most``.
    """
    if isinstance(limit, bool) or not isinstance(limit, int) or not 1 <= limit <= most:
        raise InvalidInput("limit", f"must be from 1 to {most}, not {limit!r}")
    return limit


_NO_CURSOR: Final = "is none that a page came with"


def _digest(question: str) -> bytes:
    return hashlib.blake2b(question.encode(), digest_size=8).digest()

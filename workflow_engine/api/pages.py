"""Pages of lists, and the cursors that lead from one to the next.

A cursor says behind what the next page begins. It is opaque and bound to its list; what it may see is decided by the
request that carries it, so nobody sees more with a forged one.
"""

import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from hashlib import blake2b
from typing import Annotated, Any, Final, Generic, TypeVar

from fastapi import Query
from pydantic import BaseModel, Field

from workflow_engine.errors import InvalidInput

PAGE_LIMIT: Final = 1_000
_DIGEST: Final = 6
_LONGEST: Final = 2_000
_LARGEST: Final = 2**63 - 1

PlacePart = str | int | datetime
T = TypeVar("T")
Record = TypeVar("Record")

Limit = Annotated[int, Query(ge=1, le=PAGE_LIMIT, description="How many at most.")]
Cursor = Annotated[str | None, Query(max_length=_LONGEST, description="What the page before had as `next`.")]
FIFTY: Final = 50
"""How many a page holds unless somebody says."""


class Page(BaseModel, Generic[T]):
    """Some of a list."""

    items: list[T]
    next: str | None = Field(
        description="Ask for the next page with it as `cursor`; null after the last.", examples=[None]
    )


def page_of(
    items: Sequence[Record],
    limit: int,
    shown: Callable[[Record], T],
    *,
    question: str,
    place: Callable[[Record], Sequence[PlacePart]],
) -> Page[T]:
    """Return a page; ``place`` says what comes after a record, and is asked for the last one of a full page."""
    following = as_cursor(question, *place(items[-1])) if len(items) == limit else None
    return Page.model_construct(items=[shown(each) for each in items], next=following)


def as_cursor(question: str, *place: PlacePart) -> str:
    """Return what leads to a place in the answer to ``question``, and to no other's."""
    parts = [part.astimezone(UTC).isoformat() if isinstance(part, datetime) else part for part in place]
    text = json.dumps(parts, separators=(",", ":")).encode()
    return urlsafe_b64encode(_digest(question, text) + text).decode()


def parse_cursor(question: str, cursor: str | None, *kinds: type[PlacePart]) -> Sequence[Any] | None:
    """Return the place that a cursor leads to, as so many values of these types; None for no cursor.

    Raises:
        InvalidInput: it is none, or one of another list.
    """
    if cursor is None:
        return None
    try:
        read = urlsafe_b64decode(cursor.encode("ascii"))
        parts: Any = json.loads(read[_DIGEST:]) if read[:_DIGEST] == _digest(question, read[_DIGEST:]) else None
        return tuple(_part(part, kind) for part, kind in zip(parts, kinds, strict=True))
    except (ValueError, TypeError, OverflowError, RecursionError):
        raise InvalidInput("cursor", "is none that a page of this list came with") from None


def _part(value: object, kind: type[PlacePart]) -> PlacePart:
    """Return a part of a place, checked: anybody can make a cursor.

    Raises:
        ValueError: it is of another type, or nothing that PostgreSQL can compare with.
    """
    if kind is int and type(value) is int and -1 <= value <= _LARGEST:
        return value
    if kind is str and isinstance(value, str) and "\x00" not in value:
        value.encode()  # a lone surrogate is a ValueError too
        return value
    if kind is datetime and isinstance(value, str):
        return datetime.fromisoformat(value).astimezone(UTC)
    raise ValueError(f"{value!r} is no {kind.__name__}")


def _digest(question: str, text: bytes) -> bytes:
    return blake2b(question.encode() + b"\0" + text, digest_size=_DIGEST).digest()

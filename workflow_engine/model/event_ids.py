"""The id of an event, derived from what the event is about: the same wherever it is read, and free to write."""

import hashlib
from datetime import UTC, datetime, timedelta
from typing import Final

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)
_HASH_BITS: Final = 62


def event_id(name: str, run_id: str | None, step: str | None, attempt: int | None, occurred_at: datetime) -> str:
    """Return an event's id: a UUIDv7 (RFC 9562, section 6.2, method 3) of its moment and a hash of its subject.

    One run never has the same event of the same attempt twice in one microsecond, so no two events share an id.
    """
    microseconds = (occurred_at - _EPOCH) // _MICROSECOND
    subject = f"{run_id}|{name}|{step}|{attempt}|{microseconds}"
    digest = hashlib.blake2b(subject.encode(), digest_size=8).digest()
    low = int.from_bytes(digest, "big") & ((1 << _HASH_BITS) - 1)
    milliseconds, micros = divmod(microseconds, 1_000)
    fraction = micros * 4_096 // 1_000  # twelve bits: ids of one millisecond sort by their time
    value = (milliseconds << 80) | (0x7 << 76) | (fraction << 64) | (0x2 << 62) | low
    text = f"{value:032x}"  # as a uuid.UUID prints itself, in a third of the time
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def cause_id(cause: str | None, run_id: str | None, occurred_at: datetime) -> str | None:
    """Return the id of the event of the same transaction that ``Event.as_cause`` names."""
    if cause is None:
        return None
    name, _, rest = cause.partition(" ")
    step, _, attempt = rest.partition(" ")
    return event_id(name, run_id, step or None, int(attempt) if attempt else None, occurred_at)

"""The audit log's hash chain: how a row is hashed, and the walk along it that finds the first row that is wrong."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Final

HASH_BYTES: Final = 32
BEFORE_THE_FIRST: Final = bytes(HASH_BYTES)
"""What stands for the hash of the row before number 1."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditEntry:
    """An event as the audit log keeps it."""

    event_id: str
    """A UUID as PostgreSQL writes it: in lower case; so is the run's."""
    event: str
    namespace: str
    run_id: str | None
    workflow: str | None
    step: str | None
    attempt: int | None
    actor: str
    """Who did it: ``engine`` where no person asked."""
    correlation_id: str | None
    occurred_at: datetime
    data: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class ChainEnd:
    """A row of the chain, by its number and hash."""

    number: int
    hash: bytes


START: Final = ChainEnd(number=0, hash=BEFORE_THE_FIRST)


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditRow:
    """A row of the audit log."""

    entry: AuditEntry
    number: int
    recorded_at: datetime
    previous_hash: bytes
    hash: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Anchor:
    """Rows, from ``first_number`` to ``number``, that retention has dropped."""

    first_number: int
    previous_hash: bytes
    """The hash of the row before the first."""
    number: int
    hash: bytes
    """The hash of the last."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Flaw:
    """The first row of a chain that is not as it was recorded."""

    number: int
    reason: str


def link(previous: ChainEnd, entry: AuditEntry, recorded_at: datetime) -> tuple[AuditRow, bytes]:
    """Return the row that comes after ``previous``, and the JSON that was hashed."""
    number = previous.number + 1
    text = canonical_json(number, entry, recorded_at)
    digest = row_hash(previous.hash, text)
    row = AuditRow(entry=entry, number=number, recorded_at=recorded_at, previous_hash=previous.hash, hash=digest)
    return row, text


def row_hash(previous_hash: bytes, text: bytes) -> bytes:
    """Return SHA-256 of the hash of the row before and a row's canonical JSON."""
    return hashlib.sha256(previous_hash + text).digest()


def canonical_json(number: int, entry: AuditEntry, recorded_at: datetime) -> bytes:
    """Return a row, without its hashes, as the JSON that is hashed.

    One object in UTF-8 without spaces, its keys sorted at every depth; times in UTC with six decimals; numbers without
    a fraction as integers, whatever they were written as.
    """
    values: dict[str, Any] = {name: getattr(entry, name) for name in _FIELDS}
    values["number"] = number
    values["occurred_at"] = _moment(entry.occurred_at)
    values["recorded_at"] = _moment(recorded_at)
    values["data"] = _plain(entry.data)
    return _ENCODER.encode(values).encode()


def data_from_json(text: str) -> Any:
    """Return data as its database gives it; a number that was no Python float is left as it is written."""
    return json.loads(text, parse_float=_float)


class ChainWalk:
    """Goes along a chain, row by row, until one is not as it was recorded."""

    def __init__(self, start: ChainEnd, anchors: Iterable[Anchor] = ()) -> None:
        """Begin after ``start``; rows that ``anchors`` tell of may be missing."""
        self._end = start
        self._anchors = {anchor.first_number: anchor for anchor in anchors}

    @property
    def end(self) -> ChainEnd:
        """The last row that is right."""
        return self._end

    def step(self, row: AuditRow) -> Flaw | None:
        """Go on to the next row of the log, by number; return what is wrong with it, or before it."""
        flaw = self._skip_dropped(row.number)
        if flaw is not None:
            return flaw
        expected = self._end.number + 1
        if row.number < expected:
            return Flaw(number=row.number, reason="was inserted: its number is there twice")
        if row.number > expected:
            return Flaw(number=expected, reason=_missing(expected, row.number - 1))
        if row.hash != row_hash(row.previous_hash, canonical_json(row.number, row.entry, row.recorded_at)):
            return Flaw(number=row.number, reason="was changed: its hash is not that of what it says")
        if row.previous_hash != self._end.hash:
            return Flaw(
                number=row.number,
                reason=f"does not follow number {self._end.number}: rows were inserted, moved or replaced here",
            )
        self._end = ChainEnd(number=row.number, hash=row.hash)
        return None

    def finish(self, head: ChainEnd | None) -> Flaw | None:
        """Return what is wrong with the end of the log, given where its head says that it is."""
        if head is None:
            return Flaw(number=self._end.number, reason="may not be the last: the head of the log is missing")
        flaw = self._skip_dropped(head.number + 1)
        if flaw is not None:
            return flaw
        if self._end.number < head.number:
            number = self._end.number + 1
            return Flaw(number=number, reason=f"{_missing(number, head.number)}: the end of the log was cut off")
        if self._end.number > head.number:
            return Flaw(number=head.number + 1, reason="was inserted: it comes after the head of the log")
        if self._end.hash != head.hash:
            return Flaw(number=head.number, reason="was replaced: it is not the row that the head of the log tells of")
        return None

    def _skip_dropped(self, number: int) -> Flaw | None:
        """Go on across the rows before ``number`` that retention has dropped."""
        while self._end.number + 1 < number and (anchor := self._anchors.get(self._end.number + 1)):
            if anchor.previous_hash != self._end.hash:
                reason = "was dropped by retention, but the row before it is not the one that it followed"
                return Flaw(number=anchor.first_number, reason=reason)
            self._end = ChainEnd(number=anchor.number, hash=anchor.hash)
        return None


_FIELDS: Final = [field.name for field in fields(AuditEntry)]
_ENCODER: Final = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def _missing(first: int, last: int) -> str:
    return "is missing" if first == last else f"is missing, with all up to number {last}"


def _moment(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="microseconds")


def _plain(value: Any) -> Any:
    """Return JSON data with its numbers as the database gives them back."""
    if isinstance(value, float):
        return _number(value)
    if isinstance(value, Mapping):
        return {key: _plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    return value


def _number(value: float) -> int | float:
    return int(Decimal(repr(value))) if value.is_integer() else value


def _float(text: str) -> Any:
    value = float(text)
    return _number(value) if Decimal(repr(value)) == Decimal(text) else text

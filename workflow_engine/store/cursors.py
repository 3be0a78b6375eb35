"""How far subscribers have read the event log, and which relay delivers to each of them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from psycopg import Connection

from workflow_engine.release import release
from workflow_engine.store.statements import statement

_REGISTER = statement("register_cursors")
_BEAT = statement("beat_relay")
_FORGET = statement("forget_relay")
_COUNT_RELAYS = statement("count_relays")
_TAKE = statement("take_cursors")
_RENEW = statement("renew_cursors")
_RELEASE = statement("release_cursor")
_ADVANCE = statement("advance_cursor")
_REST = statement("rest_cursor")
_MOVE = statement("move_cursor")
_PAGE = statement("page_cursors")
_FORGET_CURSOR = statement("forget_cursor")
_WRITERS = statement("log_writers")
_RING = statement("ring_relays")


@dataclass(frozen=True, slots=True, kw_only=True)
class CursorKey:
    """A cursor as one relay holds it; it fits no more once the cursor is another's or was set by a person."""

    subscriber: str
    relay_id: str
    generation: int


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldCursor:
    """A cursor that a relay holds, and where it stands."""

    key: CursorKey
    position: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CursorRecord:
    """How far a subscriber is."""

    subscriber: str
    position: int
    head: int
    """The largest position of the log."""
    waiting_since: datetime | None
    """When the first event after the cursor occurred; None if there is none."""
    relay: str | None
    """The name of the relay that delivers to it now."""
    resting_since: datetime | None
    """Since when it gets nothing because too many of its calls hang."""
    parked: int
    dead: int
    registered_at: datetime
    advanced_at: datetime

    @property
    def lag(self) -> int:
        """How many places of the log are before it; not each of them is an event it wants."""
        return max(self.head - self.position, 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Forgotten:
    """What went with a cursor: events that its subscriber had failed on."""

    parked: int
    dead: int


class Cursors:
    """The ``cursors`` and ``relays`` tables."""

    def __init__(self, connection: Connection[Any]) -> None:
        """Work on the given connection."""
        self._connection = connection

    def register(self, subscribers: Mapping[str, bool]) -> None:
        """Give new subscribers a cursor: at the log's head, or at its beginning for those whose value is true."""
        self._connection.execute(
            _REGISTER, {"subscribers": list(subscribers), "from_beginning": list(subscribers.values())}
        )

    def beat(self, relay_id: str, name: str, subscribers: Sequence[str]) -> None:
        """Say that a relay is alive and would deliver to these subscribers."""
        values = {"relay_id": relay_id, "name": name, "subscribers": list(subscribers)}
        self._connection.execute(_BEAT, {**values, "release": release(), "told_at": datetime.now(UTC)})

    def forget_relay(self, relay_id: str) -> None:
        """Say that a relay has stopped; its cursors are free."""
        self._connection.execute(_FORGET, {"relay_id": relay_id})

    def count_relays(self, subscribers: Sequence[str], lease: timedelta) -> dict[str, int]:
        """Return how many relays that are alive could deliver to each subscriber."""
        rows = self._connection.execute(_COUNT_RELAYS, {"subscribers": list(subscribers), "lease": lease})
        return {row.subscriber: row.relays for row in rows}

    def take(self, relay_id: str, subscribers: Sequence[str], *, limit: int, lease: timedelta) -> list[HeldCursor]:
        """Take up to ``limit`` cursors that nobody holds, those named first before others."""
        values = {"relay_id": relay_id, "subscribers": list(subscribers), "limit": limit, "lease": lease}
        return [_held(row, relay_id) for row in self._connection.execute(_TAKE, values)]

    def renew(self, relay_id: str, lease: timedelta) -> list[HeldCursor]:
        """Go on holding what a relay holds; return it as it is now."""
        return [
            _held(row, relay_id) for row in self._connection.execute(_RENEW, {"relay_id": relay_id, "lease": lease})
        ]

    def release(self, key: CursorKey) -> None:
        """Give a cursor up."""
        self._connection.execute(_RELEASE, _values(key))

    def advance(self, key: CursorKey, position: int) -> bool:
        """Say that a subscriber has got everything up to ``position``; False if the key does not fit any more."""
        row = self._connection.execute(_ADVANCE, {**_values(key), "position": position}).fetchone()
        return row is not None

    def rest(self, key: CursorKey, *, resting: bool) -> None:
        """Say that a subscriber gets nothing for now, or that it does again."""
        self._connection.execute(_REST, {**_values(key), "resting": resting})

    def move(self, subscribers: Sequence[str], position: int | None) -> list[str]:
        """Set cursors, or with None only make their holders look at them anew; return those that exist."""
        rows = self._connection.execute(_MOVE, {"subscribers": list(subscribers), "position": position})
        return [row.subscriber for row in rows]

    def forget_cursor(self, subscriber: str) -> Forgotten | None:
        """Delete a cursor and the failed deliveries of its subscriber; None if there is none, or a relay holds it."""
        row = self._connection.execute(_FORGET_CURSOR, {"subscriber": subscriber}).fetchone()
        return None if row is None else Forgotten(parked=row.parked, dead=row.dead)

    def ring(self) -> None:
        """Tell every relay, at the commit, that there are events."""
        self._connection.execute(_RING)

    def page(self) -> list[CursorRecord]:
        """Return how far every subscriber is, by name."""
        return [CursorRecord(**row._asdict()) for row in self._connection.execute(_PAGE)]

    def writers(self) -> frozenset[str]:
        """Return who may have taken a place in the log that nobody sees yet."""
        return frozenset(row.writer for row in self._connection.execute(_WRITERS))


def _held(row: Any, relay_id: str) -> HeldCursor:
    key = CursorKey(subscriber=row.subscriber, relay_id=relay_id, generation=row.generation)
    return HeldCursor(key=key, position=row.position)


def _values(key: CursorKey) -> dict[str, object]:
    return {"subscriber": key.subscriber, "relay_id": key.relay_id, "generation": key.generation}

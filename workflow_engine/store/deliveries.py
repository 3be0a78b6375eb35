"""Deliveries that failed: parked until they are due again, or dead letters for a person."""

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, fields
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from psycopg import Connection

from workflow_engine.model.commands import StepError
from workflow_engine.model.records import EventRecord
from workflow_engine.store.statements import statement

_PARK = statement("park_deliveries")
_DUE = statement("due_deliveries")
_PARKED_RUNS = statement("parked_runs")
_SETTLE = statement("settle_deliveries")
_REQUEUE = statement("requeue_deliveries")
_DISCARD = statement("discard_deliveries")
_REPLACE = statement("replace_deliveries")
_PAGE = statement("page_dead_letters")
_ENVELOPE = [field.name for field in fields(EventRecord)]


class DeliveryState(StrEnum):
    """Where a delivery stands after a try."""

    DELIVERED = "delivered"
    """Nothing of it is kept."""
    PARKED = "parked"
    """It is tried again."""
    DEAD = "dead"
    """It waits for a person."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TriedDelivery:
    """What came of a try, or that an event waits behind another one of its run."""

    event: EventRecord
    state: DeliveryState
    tries: int
    due_in: timedelta | None = None
    """None: as soon as nothing of its run is before it."""
    error: StepError | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ParkedDelivery:
    """An event that is due again."""

    event: EventRecord
    tries: int
    """How often delivery has failed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ParkedRuns:
    """What a subscriber has parked."""

    numbers: Counter[str | None]
    """Events of each run; those about no run under None."""
    due_in: float | None
    """Seconds until the next one is due; None if nothing is parked."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadLetter:
    """A delivery that was given up."""

    subscriber: str
    position: int
    event_id: str
    event_name: str
    run_id: str | None
    namespace: str
    envelope: dict[str, Any]
    tries: int
    error_class: str
    message: str
    created_at: datetime
    failed_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadLetterFilter:
    """Which dead letters; None leaves a field open."""

    subscriber: str | None = None
    event_ids: Sequence[str] | None = None


class Deliveries:
    """The ``deliveries`` table."""

    def __init__(self, connection: Connection[Any]) -> None:
        """Work on the given connection."""
        self._connection = connection

    def park(self, subscriber: str, tried: Sequence[TriedDelivery]) -> None:
        """Keep events that were not delivered."""
        events = [each.event for each in tried]
        values = {
            "subscriber": subscriber,
            "event_ids": [event.event_id for event in events],
            "event_names": [event.name for event in events],
            "run_ids": [event.run_id for event in events],
            "namespaces": [event.namespace for event in events],
            "envelopes": [_to_json(event) for event in events],
            "tries": [each.tries for each in tried],
        }
        self._connection.execute(_PARK, {**values, **_outcomes(tried)})

    def settle(self, subscriber: str, tried: Sequence[TriedDelivery]) -> None:
        """Say what came of another try of parked events."""
        self._connection.execute(_SETTLE, {"subscriber": subscriber, **_outcomes(tried)})

    def due(self, subscriber: str, limit: int) -> list[ParkedDelivery]:
        """Return up to ``limit`` events to be tried again, in the log's order."""
        rows = self._connection.execute(_DUE, {"subscriber": subscriber, "limit": limit})
        return [ParkedDelivery(event=_from_json(row.envelope), tries=row.tries) for row in rows]

    def parked_runs(self, subscriber: str) -> ParkedRuns:
        """Return what is parked, by run."""
        rows = self._connection.execute(_PARKED_RUNS, {"subscriber": subscriber}).fetchall()
        return ParkedRuns(
            numbers=Counter({row.run_id: row.parked for row in rows}),
            due_in=max(min(row.due_in for row in rows), 0.0) if rows else None,
        )

    def requeue(self, wanted: DeadLetterFilter) -> Counter[str]:
        """Make dead letters due again; return how many of each subscriber."""
        return Counter(row.subscriber for row in self._connection.execute(_REQUEUE, _wanted(wanted)))

    def discard(self, wanted: DeadLetterFilter) -> Counter[str]:
        """Give dead letters up; return how many of each subscriber."""
        return Counter(row.subscriber for row in self._connection.execute(_DISCARD, _wanted(wanted)))

    def forget_after(self, subscriber: str, position: int) -> None:
        """Forget what failed after a position that the subscriber is sent back to."""
        self._connection.execute(_REPLACE, {"subscriber": subscriber, "position": position})

    def page_dead_letters(
        self, *, subscriber: str | None = None, event_id: str | None = None, limit: int = 1_000
    ) -> list[DeadLetter]:
        """Return dead letters, the oldest event first."""
        values = {"subscriber": subscriber, "event_id": event_id, "limit": limit}
        return [DeadLetter(**row._asdict()) for row in self._connection.execute(_PAGE, values)]


def _outcomes(tried: Sequence[TriedDelivery]) -> dict[str, object]:
    return {
        "positions": [each.event.position for each in tried],
        "states": [each.state.value for each in tried],
        "due_in": [each.due_in for each in tried],
        "error_classes": [each.error and each.error.error_class for each in tried],
        "messages": [each.error and each.error.message for each in tried],
    }


def _wanted(wanted: DeadLetterFilter) -> dict[str, object]:
    event_ids = None if wanted.event_ids is None else list(wanted.event_ids)
    return {"subscriber": wanted.subscriber, "event_ids": event_ids}


def _to_json(event: EventRecord) -> str:
    return json.dumps({name: getattr(event, name) for name in _ENVELOPE}, default=datetime.isoformat)


def _from_json(envelope: dict[str, Any]) -> EventRecord:
    return EventRecord(**{**envelope, "occurred_at": datetime.fromisoformat(envelope["occurred_at"])})

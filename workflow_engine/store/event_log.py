"""Append events to the log."""

from collections.abc import Sequence
from typing import Any

from psycopg import Connection

from workflow_engine.ids import RunId
from workflow_engine.model.events import Event
from workflow_engine.store.statements import statement

_APPEND = statement("append_events")


class EventLog:
    """The ``events`` table."""

    def __init__(self, connection: Connection[Any]) -> None:
        """Work on the given connection."""
        self._connection = connection

    def append(self, events: Sequence[tuple[RunId, Event]]) -> None:
        """Add facts in the order given; they become visible with the transaction that made them true."""
        if not events:
            return
        self._connection.execute(
            _APPEND,
            {
                "run_ids": [run_id for run_id, _ in events],
                "names": [event.name for _, event in events],
                "steps": [event.step for _, event in events],
                "attempts": [event.attempt for _, event in events],
                "data": [event.data for _, event in events],
            },
        )

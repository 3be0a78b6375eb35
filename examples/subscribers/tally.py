"""Measure without a metrics server: how often, and how long, runs and steps ended in each state, in one SQLite file.

Called by a relay, with batches of what ended in the last second. The rows have the event's id as their key, so an event
that comes again changes nothing: the numbers are exact, whatever is killed. If the file cannot be written, the batch
raises and the relay tries its events again.

    SELECT workflow, step, state, number, mean_seconds, max_seconds FROM tally
"""

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from datetime import datetime
from pathlib import Path

from workflow_engine import EventRecord, Subscriber

_SCHEMA = """
CREATE TABLE IF NOT EXISTS ended (
    event_id TEXT PRIMARY KEY, workflow TEXT NOT NULL, step TEXT, state TEXT NOT NULL, seconds REAL
);
CREATE VIEW IF NOT EXISTS tally AS
    SELECT workflow, step, state, count(*) AS number, avg(seconds) AS mean_seconds, max(seconds) AS max_seconds
    FROM ended GROUP BY workflow, step, state ORDER BY workflow, step, state;
"""


class Tally(Subscriber):
    """Keeps a row for each run and step that ended; the view ``tally`` adds them up."""

    name = "tally"
    subscribe_to = (
        *("run.succeeded", "run.failed", "run.cancelled", "run.expired"),
        *("step.completed", "step.failed", "step.skipped", "step.cancelled"),
    )
    batch_size = 500
    max_wait = 1.0
    start = "beginning"

    def __init__(self, *, file: str = "tally.sqlite") -> None:
        """Write to ``file``, below the folder in which the relay was started."""
        super().__init__()
        self._file = Path(file)

    def opened(self) -> None:
        """Make the file, unless it is there."""
        with closing(sqlite3.connect(self._file)) as db:
            db.executescript(_SCHEMA)

    def on_batch(self, events: Sequence[EventRecord]) -> None:
        """Keep what is new, in one transaction. A connection each time: another thread may make the next call."""
        rows = [(event.id, event.workflow, event.step, _state(event), seconds_of(event)) for event in events]
        with closing(sqlite3.connect(self._file)) as db, db:
            db.executemany("INSERT OR IGNORE INTO ended VALUES (?, ?, ?, ?, ?)", rows)


def seconds_of(event: EventRecord) -> float | None:
    """Return how long what ended had run; None where it never began."""
    started_at = event.data.get("started_at")
    return None if started_at is None else (event.occurred_at - datetime.fromisoformat(started_at)).total_seconds()


def _state(event: EventRecord) -> str:
    return event.name.partition(".")[2]

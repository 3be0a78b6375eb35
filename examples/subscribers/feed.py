"""Keep a table of your own in step with the runs: join it with your orders, or let a dashboard read it.

Called by a relay, with batches. Every event of a run tells its new state and its position in the log, and a row only
takes what is later than what it has: an event that comes again, or late (a dead letter that was sent again, a replay),
changes nothing that is newer. So the table can be made anew at any time: empty it, and
``wfe subscribers replay feed --from-position 0``.

If the database is away, the batch raises; the relay tries its events again, one by one, and keeps them as dead letters
after the third failure. Until the table was made for the first time, no event counts as tried.
"""

import os
from collections.abc import Sequence

import psycopg

from workflow_engine import EventRecord, Settings, Subscriber

_STATES = {"run.submitted": "pending", "run.started": "running"}
"""The state a run comes to, where it is not what the event is called."""

_SCHEMA = """
CREATE SCHEMA IF NOT EXISTS shop;
CREATE TABLE IF NOT EXISTS shop.order_runs (
    run_id uuid PRIMARY KEY,
    workflow text NOT NULL,
    correlation_id text NOT NULL,
    state text NOT NULL,
    failed_step text,
    changed_at timestamptz NOT NULL,
    position bigint NOT NULL
)
"""

_UPSERT = """
INSERT INTO shop.order_runs AS known (run_id, workflow, correlation_id, state, failed_step, changed_at, position)
VALUES (%s, %s, %s, %s, %s, %s, %s)
ON CONFLICT (run_id) DO UPDATE
SET state = excluded.state, failed_step = excluded.failed_step, changed_at = excluded.changed_at,
    position = excluded.position
WHERE known.position < excluded.position
"""


class Feed(Subscriber):
    """Writes the state of each run to ``shop.order_runs``."""

    name = "feed"
    subscribe_to = ("run.*",)
    batch_size = 500
    max_wait = 0.5
    start = "beginning"

    def __init__(self, *, url_from: str = "SHOP_DATABASE_URL") -> None:
        """Write to the PostgreSQL of this environment variable, else to the engine's, in a schema of our own."""
        super().__init__()
        self._url = os.environ.get(url_from) or Settings().require_database_url()

    def opened(self) -> None:
        """Make the table, unless it is there."""
        with psycopg.connect(self._url) as connection:
            connection.execute(_SCHEMA)

    def on_batch(self, events: Sequence[EventRecord]) -> None:
        """Write the batch in one transaction. A connection each time: one that was kept might be broken."""
        with psycopg.connect(self._url) as connection:
            connection.cursor().executemany(_UPSERT, [_row(event) for event in events])


def _row(event: EventRecord) -> Sequence[object]:
    state = _STATES.get(event.name, event.name.removeprefix("run."))
    failed_step = event.data["step"] if event.name == "run.failed" else None
    return (
        event.run_id,
        event.workflow,
        event.correlation_id,
        state,
        failed_step,
        event.occurred_at,
        event.position,
    )

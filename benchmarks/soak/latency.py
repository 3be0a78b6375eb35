"""How quick runs and steps were, from the log of events: the times that PostgreSQL wrote down."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Final

import psycopg

_QUERIES: Final = {
    "completion -> start of the child": """
SELECT extract(epoch FROM started.occurred_at - sent.occurred_at)
  FROM events AS sent
  JOIN events AS started USING (run_id, step, attempt)
 WHERE sent.name = 'step.dispatched' AND sent.data->>'triggered_by' = 'step_completed' AND started.name = 'step.started'
   AND sent.occurred_at >= %(since)s AND sent.occurred_at < %(until)s""",
    "diamond: submit -> done": """
SELECT extract(epoch FROM finished_at - created_at)
  FROM runs
 WHERE workflow = 'soak_diamond' AND created_at >= %(since)s AND created_at < %(until)s""",
    "fan of 100: submit -> done": """
SELECT extract(epoch FROM finished_at - created_at)
  FROM runs
 WHERE workflow = 'soak_fan' AND created_at >= %(since)s AND created_at < %(until)s""",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Latency:
    """Milliseconds, in one part of the time."""

    what: str
    part: str
    number: int
    p50: float
    p99: float
    longest: float

    def as_json(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return asdict(self)


def latencies(database_url: str, began: datetime, ended: datetime) -> Iterator[Latency]:
    """Yield how quick each was, in the first third of the time, in the last, and in all of it."""
    third = (ended - began) / 3
    parts = {"first third": (began, began + third), "last third": (ended - third, ended), "all": (began, ended)}
    with psycopg.connect(database_url, autocommit=True) as connection:
        for what, query in _QUERIES.items():
            for part, (since, until) in parts.items():
                row = connection.execute(
                    "SELECT count(*), percentile_disc(0.5) WITHIN GROUP (ORDER BY seconds), "
                    "percentile_disc(0.99) WITHIN GROUP (ORDER BY seconds), max(seconds) "
                    f"FROM ({query}) AS found (seconds)",
                    {"since": since, "until": until},
                ).fetchone()
                if row is not None and row[0]:
                    p50, p99, longest = (1_000 * float(each) for each in row[1:])
                    yield Latency(what=what, part=part, number=row[0], p50=p50, p99=p99, longest=longest)

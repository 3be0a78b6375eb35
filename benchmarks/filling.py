"""Fills a database with finished runs in the shape of a real one, by plain SQL."""

from typing import Final

import psycopg
from psycopg import sql

BATCH: Final = 100_000
"""Runs that one statement inserts."""

_MONTH: Final = "date_trunc('month', now())"  # partitions of the event log are months; this one is there
_PREPARE: Final = """
SET session_replication_role = replica;
SET synchronous_commit = off;
CREATE TEMP TABLE one_run AS SELECT * FROM runs WHERE id = %(run_id)s;
CREATE TEMP TABLE its_steps AS SELECT * FROM steps WHERE run_id = %(run_id)s;
CREATE TEMP TABLE its_events AS SELECT * FROM events WHERE run_id = %(run_id)s;
CREATE TEMP TABLE filled (number bigint, id uuid, later interval)
"""
_NEXT: Final = f"""
INSERT INTO filled
SELECT number,
       (lpad(to_hex(floor(1000 * extract(epoch FROM at))::bigint), 12, '0') || '7' || substr(md5(random()::text), 1, 3)
        || '8' || substr(md5(random()::text), 1, 15))::uuid,
       at - one_run.created_at
  FROM one_run, generate_series(%(first)s::bigint, %(last)s::bigint) AS number,
       LATERAL (SELECT {_MONTH} + (one_run.created_at - {_MONTH}) * (number::float8 / %(runs)s) AS at) AS moment
"""


def fill(database_url: str, run_id: str, steps: int) -> None:
    """Store copies of a finished run, ``steps`` steps in all, spread over the month until it; and as many events.

    The events are all those of the newest copies: those of older ones are gone, as when retention has dropped them.
    """
    with psycopg.connect(database_url, autocommit=True) as connection:
        for command in _PREPARE.split(";\n"):
            connection.execute(sql.SQL(command).format(), {"run_id": run_id}, prepare=False)
        steps_each, events_each = (_count(connection, table) for table in ("its_steps", "its_events"))
        runs = steps // steps_each
        with_events = runs - steps // events_each
        for first in range(1, runs + 1, BATCH):
            last = min(first + BATCH - 1, runs)
            connection.execute("TRUNCATE filled")
            connection.execute(_NEXT, {"first": first, "last": last, "runs": runs})
            _copy(connection, "runs", "one_run", {"id": "filled.id", "correlation_id": "filled.id::text"})
            _copy(connection, "steps", "its_steps", {"run_id": "filled.id"})
            if last > with_events:
                connection.execute("DELETE FROM filled WHERE number <= %s", [with_events])
                overrides = {"run_id": "filled.id", "correlation_id": "filled.id::text", "id": ""}
                _copy(connection, "events", "its_events", overrides)
        connection.execute("VACUUM ANALYZE")
        connection.execute("CHECKPOINT")


def rows(database_url: str) -> dict[str, int]:
    """Return how many runs, steps and events there are."""
    with psycopg.connect(database_url) as connection:
        return {table: _count(connection, table) for table in ("runs", "steps", "events")}


def _count(connection: psycopg.Connection, table: str) -> int:
    row = connection.execute(sql.SQL("SELECT count(*) FROM {}").format(sql.Identifier(table))).fetchone()
    assert row is not None
    return int(row[0])


def _copy(connection: psycopg.Connection, table: str, template: str, overrides: dict[str, str]) -> None:
    """Insert what ``template`` has once for each filled run, at its time; a column of ``''`` gets its default."""
    columns = connection.execute(
        "SELECT column_name, data_type FROM information_schema.columns WHERE table_schema = 'public' "
        "AND table_name = %s AND is_generated = 'NEVER' ORDER BY ordinal_position",
        [table],
    ).fetchall()
    values = {
        name: overrides.get(name, f'template."{name}"' + (" + filled.later" if kind.startswith("timestamp") else ""))
        for name, kind in columns
    }
    given = {name: value for name, value in values.items() if value}
    order = ", filled.id" if table == "runs" else ", template.id" if table == "events" else ", template.position"
    connection.execute(
        f"INSERT INTO {table} ({', '.join(given)}) SELECT {', '.join(given.values())} "
        f"FROM filled CROSS JOIN {template} AS template ORDER BY filled.number{order}".encode()
    )

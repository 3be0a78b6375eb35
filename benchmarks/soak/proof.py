"""What must be so once the load is over: nothing is unfinished, and the history of every run is whole."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

import psycopg
from psycopg.rows import namedtuple_row

_AT_ONCE: Final = 2_000
"""Runs whose histories are read together."""
_TABLES: Final = {"runs": "id", "steps": "run_id", "events": "run_id", "step_dead_letters": "run_id"}
_ENDS: Final = {"soak_failing": "failed", "soak_cancelled": "cancelled"}
"""How runs end that do not succeed."""


class Database:
    """Answers the queries of the checker of histories, for some runs at a time.

    A temporary table hides the real one of the same name, so the checker's own queries see only those runs.
    """

    def __init__(self, connection: psycopg.Connection[Any]) -> None:
        """Read by this connection."""
        self._connection = connection

    def rows(self, query: str, *values: Any) -> list[Any]:
        """Run a query."""
        with self._connection.cursor(row_factory=namedtuple_row) as cursor:
            return cursor.execute(query, values or None).fetchall()

    def narrow(self, run_ids: list[Any]) -> None:
        """Show only these runs."""
        for table, key in _TABLES.items():
            self._connection.execute(f"DROP TABLE IF EXISTS pg_temp.{table}")
            self._connection.execute(
                f"CREATE TEMPORARY TABLE {table} AS SELECT * FROM public.{table} WHERE {key} = ANY(%s)", [run_ids]
            )

    def widen(self) -> None:
        """Show all runs."""
        for table in _TABLES:
            self._connection.execute(f"DROP TABLE IF EXISTS pg_temp.{table}")


def find_problems(database_url: str, submitted: Mapping[str, int]) -> tuple[int, list[str]]:
    """Return how many runs there are, and what is wrong with them; nothing, it should be."""
    with psycopg.connect(database_url, autocommit=True) as connection:
        database = Database(connection)
        problems = list(_miscounted(database, submitted))
        ids = [row.id for row in database.rows("SELECT id FROM runs ORDER BY created_at")]
        problems += list(_broken_histories(database, ids))
    return len(ids), problems


def _miscounted(database: Database, submitted: Mapping[str, int]) -> Iterator[str]:
    """Yield the shapes of which not as many runs ended as they should as were submitted."""
    rows = database.rows("SELECT workflow, state, count(*) AS number FROM runs GROUP BY 1, 2")
    found = {(row.workflow, row.state): row.number for row in rows}
    for shape, number in submitted.items():
        workflow = f"soak_{shape}"
        ended = found.pop((workflow, _ENDS.get(workflow, "succeeded")), 0)
        if ended != number:
            yield f"{number} runs of {workflow} were submitted, {ended} ended as they should"
    found.pop(("soak_scheduled", "succeeded"), None)
    yield from (f"{number} runs of {workflow} are {state}" for (workflow, state), number in found.items())
    if missed := database.rows(
        "SELECT occurs_at FROM occurrences WHERE run_id IS NULL OR run_id NOT IN (SELECT id FROM runs)"
    ):
        yield f"{len(missed)} occurrences of the schedule started no run"


def _broken_histories(database: Database, ids: list[Any]) -> Iterator[str]:
    """Yield what the checker of the fault tests finds."""
    from tests.support import checker  # noqa: PLC0415  only a soak needs what the tests need

    for start in range(0, len(ids), _AT_ONCE):
        database.narrow(ids[start : start + _AT_ONCE])
        histories = checker.read(database)
        for history in histories:
            checker.check_history(history)
            yield from history.problems
    database.widen()
    yield from checker.find_leftovers(database)

"""A database as the checker reads it, for tests that run steps in threads instead of workers."""

from dataclasses import dataclass
from typing import Any

from tests.support.checker import described, find_problems, read
from workflow_engine.store.database import Database


@dataclass(frozen=True, slots=True)
class DatabaseRows:
    """Answers queries of a test's own, as a stage does."""

    database: Database

    def rows(self, query: str, *values: Any) -> list[Any]:
        """Run a query."""
        with self.database.connection() as connection:
            return connection.execute(query.encode(), values).fetchall()


def prove_every_run(database: Database) -> int:
    """Prove every promise about every run in a database; return how many runs there are."""
    source = DatabaseRows(database)
    histories = read(source)
    # These tests complete attempts with a claim's times of their own.
    problems = find_problems(source, histories, claims_may_be_lost=True)
    assert not problems, described(problems)
    return len(histories)

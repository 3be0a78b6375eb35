"""A database as the checker reads it, for tests that run steps in threads instead of workers."""

from dataclasses import dataclass
from typing import Any

from tests.support.checker import check_order, check_run, check_step, read
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
    histories = read(DatabaseRows(database))  # type: ignore[arg-type]  # it reads rows and nothing else
    for history in histories:
        check_run(history)
        for step in history.steps:
            check_step(history, step, [event for event in history.events if event.step == step.name])
        check_order(history)
    problems = [problem for history in histories for problem in history.problems]
    assert not problems, "\n".join([f"{len(problems)} broken promise(s):", *problems[:40]])
    return len(histories)

"""The database's clock, by which all hosts go."""

from datetime import datetime
from typing import Any

from workflow_engine.store.clock import DatabaseClock
from workflow_engine.store.transaction import Store


def told(store: Store) -> datetime:
    with store.single() as tx:
        row: Any = tx.connection.execute("SELECT clock_timestamp() AS now").fetchone()
    moment: datetime = row.now
    return moment


def test_the_time_is_the_databases(store: Store) -> None:
    before = told(store)

    now = DatabaseClock(store).now()

    assert now.tzinfo is not None
    assert before < now < told(store)

"""The schema says what the code says, also while it moves under data and under two hands."""

import re
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest
from sqlalchemy.exc import SQLAlchemyError

from tests.support.recording import RecordingDispatcher, graph, run_all, submit
from workflow_engine import DatabaseUnavailable
from workflow_engine.engine.processor import Processor
from workflow_engine.model.run import FINAL_RUN_STATES, RunState
from workflow_engine.model.step import FINAL_STEP_STATES, StepState
from workflow_engine.store import migration
from workflow_engine.store.database import Database
from workflow_engine.store.transaction import Store

ROOT = Path(__file__).parents[2]


def states_in(url: str, function: str) -> list[set[str]]:
    """Return the states that each branch of a function names."""
    with psycopg.connect(url) as connection:
        row = connection.execute("SELECT prosrc FROM pg_proc WHERE proname = %s", [function]).fetchone()
    assert row is not None
    return [set(states.split()) for states in re.findall(r"'([\w ]+)'", row[0]) if states.strip()]


IDLE = {StepState.DISPATCHED, StepState.SUSPENDED, StepState.WAITING}


@pytest.mark.parametrize(
    ("function", "states"),
    [
        ("wfe_run_makes_sense", [FINAL_RUN_STATES, set(RunState) - FINAL_RUN_STATES]),
        (
            "wfe_step_makes_sense",
            [FINAL_STEP_STATES, {StepState.READY, StepState.RETRYING}, IDLE, IDLE | {StepState.RUNNING}],
        ),
    ],
)
def test_what_makes_sense_names_the_states_of_the_code(
    migrated_database: str, function: str, states: list[set[str]]
) -> None:
    assert states_in(migrated_database, function) == [{str(state) for state in each} for each in states]


def test_a_run_and_its_events_survive_the_way_back_and_up_again(fresh_database: str) -> None:
    migration.upgrade(fresh_database)
    dispatcher = RecordingDispatcher()
    database = Database(fresh_database, max_connections=2)
    processor = Processor(Store(database), dispatcher)
    run_id = submit(processor, graph({"a": (), "b": ("a",)}))
    database.close()

    migration.downgrade(fresh_database, "0001")
    migration.upgrade(fresh_database)
    run_all(processor, dispatcher)

    with Store(database).single() as tx:
        assert tx.views.run_state(run_id) == "succeeded"
        events = tx.views.events_of(run_id)
    assert [event.position for event in events] == list(range(1, 10))
    assert [event.name for event in events][:2] == ["run.submitted", "step.dispatched"]
    database.close()


def test_processes_that_migrate_at_once_wait_for_each_other(fresh_database: str) -> None:
    program = "import sys; from workflow_engine.store.migration import upgrade; upgrade(sys.argv[1])"
    at_once = [
        subprocess.Popen([sys.executable, "-c", program, fresh_database], cwd=ROOT, stderr=subprocess.PIPE, text=True)
        for _ in range(3)
    ]

    assert [process.communicate(timeout=60)[1] for process in at_once] == [""] * 3
    assert migration.version(fresh_database).is_current


def test_a_database_says_where_it_stands(fresh_database: str) -> None:
    assert migration.version(fresh_database).current is None
    migration.upgrade(fresh_database, "0001")
    half = migration.version(fresh_database)
    assert (half.current, half.is_current) == ("0001", False)
    migration.upgrade(fresh_database)
    assert migration.version(fresh_database).is_current


def test_a_migration_that_fails_leaves_nothing_of_itself(fresh_database: str) -> None:
    with psycopg.connect(fresh_database, autocommit=True) as connection:
        connection.execute("CREATE TABLE chord_parts (in_the int)")

    with pytest.raises(SQLAlchemyError, match="already exists"):
        migration.upgrade(fresh_database)

    with psycopg.connect(fresh_database) as connection:
        tables = connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'").fetchall()
    assert tables == [("chord_parts",)]


NOBODY = "postgresql://nobody@127.0.0.1:1/none"


@pytest.mark.parametrize(
    "ask",
    [migration.upgrade, migration.version, lambda url: migration.downgrade(url, "base")],
    ids=["upgrade", "version", "downgrade"],
)
def test_a_database_that_does_not_answer_is_named_as_such(ask: object) -> None:
    with pytest.raises(DatabaseUnavailable, match="PostgreSQL does not answer"):
        ask(NOBODY)  # type: ignore[operator]  # three functions of one URL


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("postgresql://u@h/d", "postgresql+psycopg://u@h/d"),
        ("postgres://u:p%40@h:1/d?sslmode=disable", "postgresql+psycopg://u:p%40@h:1/d?sslmode=disable"),
        ("postgresql+psycopg://u@h/d", "postgresql+psycopg://u@h/d"),
    ],
)
def test_every_form_of_a_url_becomes_sqlalchemys(url: str, expected: str) -> None:
    assert migration.sqlalchemy_url(url) == expected


def test_a_url_as_sqlalchemy_writes_it_is_understood(migrated_database: str) -> None:
    database = Database(migration.sqlalchemy_url(migrated_database), max_connections=1)
    with database.connection() as connection:
        row = connection.execute("SELECT 1 AS one").fetchone()
    database.close()

    assert row is not None
    assert row.one == 1

"""Migrations go up, down and up again, and leave what the code believes."""

import itertools
from collections.abc import Callable
from contextlib import suppress
from uuid import uuid4

import psycopg
import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import create_engine

from workflow_engine import Client, DatabaseNotMigrated, DatabaseUnavailable, Settings, Workflow
from workflow_engine.model.run import FINAL_RUN_STATES, RUN_TRANSITIONS, RunState
from workflow_engine.model.step import FINAL_STEP_STATES, STEP_TRANSITIONS, StepState
from workflow_engine.store import migration
from workflow_engine.store.database import Database

RUN_MOVES = {(source, target) for (source, _), target in RUN_TRANSITIONS.items()}
STEP_MOVES = {(source, target) for (source, _), target in STEP_TRANSITIONS.items()}


def tables(url: str) -> set[str]:
    with psycopg.connect(url) as connection:
        rows = connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'").fetchall()
    return {name for (name,) in rows}


def test_up_down_and_up_again_leaves_every_table(fresh_database: str) -> None:
    migration.upgrade(fresh_database)
    after_first = tables(fresh_database)
    migration.downgrade(fresh_database, "base")
    assert tables(fresh_database) == {"alembic_version"}
    migration.upgrade(fresh_database)

    assert tables(fresh_database) == after_first
    assert migration.version(fresh_database).is_current


def test_the_migrated_schema_is_what_the_tables_say(migrated_database: str) -> None:
    engine = create_engine(migration.sqlalchemy_url(migrated_database))
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"include_name": migration.is_no_partition})
        differences = compare_metadata(context, migration.metadata())
    engine.dispose()

    assert differences == []


@pytest.mark.parametrize(("source", "target"), list(itertools.product(RunState, RunState)))
def test_the_database_lets_a_run_move_as_the_table_says(database: Database, source: RunState, target: RunState) -> None:
    def move(connection: psycopg.Connection[object]) -> None:
        connection.execute(
            "INSERT INTO plans (namespace, workflow, version, digest, definition) VALUES ('n', %s, '1', '', '{}')",
            [str(uuid4())],
        )
        connection.execute(
            "INSERT INTO runs (id, plan_id, namespace, workflow, version, state, input_digest, correlation_id, "
            "sinks_left, finished_at) SELECT %s, max(id), 'n', 'w', '1', %s, '', '', 1, %s FROM plans",
            [uuid4(), source.value, "now" if source in FINAL_RUN_STATES else None],
        )
        connection.execute(
            "UPDATE runs SET state = %s, finished_at = %s WHERE namespace = 'n'",
            [target.value, "now" if target in FINAL_RUN_STATES else None],
        )

    assert allows(database, move) == (source is target or (source, target) in RUN_MOVES)


@pytest.mark.parametrize(("source", "target"), list(itertools.product(StepState, StepState)))
def test_the_database_lets_a_step_move_as_the_table_says(
    database: Database, source: StepState, target: StepState
) -> None:
    due = {StepState.READY, StepState.RETRYING}

    def move(connection: psycopg.Connection[object]) -> None:
        run_id = uuid4()
        connection.execute(
            "INSERT INTO steps (run_id, position, state, missing, worker_id, finished_at, ready_at) "
            "VALUES (%s, 0, %s, 0, %s, %s, %s)",
            [
                run_id,
                source.value,
                uuid4(),
                "now" if source in FINAL_STEP_STATES else None,
                "now" if source in due else None,
            ],
        )
        connection.execute(
            "UPDATE steps SET state = %s, finished_at = %s, ready_at = %s WHERE run_id = %s",
            [
                target.value,
                "now" if target in FINAL_STEP_STATES else None,
                "now" if target in due else None,
                run_id,
            ],
        )

    assert allows(database, move) == (source is target or (source, target) in STEP_MOVES)


def allows(database: Database, move: Callable[[psycopg.Connection[object]], None]) -> bool:
    """Tell whether the database accepts what ``move`` does; nothing of it stays."""
    with database.connection() as connection, suppress(psycopg.errors.CheckViolation):
        with connection.transaction(force_rollback=True):
            move(connection)
        return True
    return False


@pytest.mark.parametrize(
    "broken",
    [
        "INSERT INTO steps (run_id, position, state, missing) VALUES (gen_random_uuid(), 0, 'asleep', 0)",
        "INSERT INTO steps (run_id, position, state, missing) VALUES (gen_random_uuid(), 0, 'succeeded', 0)",
        "INSERT INTO steps (run_id, position, state, missing) VALUES (gen_random_uuid(), 0, 'ready', 0)",
        "INSERT INTO steps (run_id, position, state, missing) VALUES (gen_random_uuid(), 0, 'running', 0)",
        "INSERT INTO steps (run_id, position, state, missing) VALUES (gen_random_uuid(), 0, 'waiting', -1)",
        "INSERT INTO steps (run_id, position, state, missing) VALUES (gen_random_uuid(), 0, 'wait', 0)",
        "INSERT INTO steps (run_id, position, state, missing, finished_at, ready_at) "
        "VALUES (gen_random_uuid(), 0, 'failed', 0, now(), now())",
        "INSERT INTO steps (run_id, position, state, missing, finished_at) "
        "VALUES (gen_random_uuid(), 0, 'waiting', 0, now())",
        "INSERT INTO steps (run_id, position, state, missing, ready_at) "
        "VALUES (gen_random_uuid(), 0, 'waiting', 0, now())",
    ],
)
def test_a_row_that_makes_no_sense_is_refused(database: Database, broken: str) -> None:
    with database.connection() as connection, pytest.raises(psycopg.errors.CheckViolation):
        connection.execute(broken)


def a_workflow() -> Workflow:
    workflow = Workflow("w")
    workflow.step(name="a")(lambda ctx: None)
    return workflow


def test_a_database_that_is_not_migrated_is_told_so_at_submit(fresh_database: str) -> None:
    settings = Settings(database_url=fresh_database, broker_url="redis://127.0.0.1:1/0")
    with Client(settings) as client, pytest.raises(DatabaseNotMigrated, match="wfe db upgrade"):
        client.submit(a_workflow())


def test_a_database_that_does_not_answer_is_told_so_at_submit() -> None:
    settings = Settings(database_url="postgresql://nobody@127.0.0.1:1/none", broker_url="redis://127.0.0.1:1/0")
    with Client(settings) as client, pytest.raises(DatabaseUnavailable, match="refused"):
        client.submit(a_workflow())

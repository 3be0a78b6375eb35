"""A run submitted in the caller's transaction exists if and only if that commits, and then starts by itself."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from typing import Any

import psycopg
import pytest
from sqlalchemy import create_engine
from sqlalchemy.orm import Session
from sqlalchemy.pool import NullPool

from tests.acceptance import flows
from tests.support.processes import Stage
from workflow_engine import Client, InvalidInput, RunNotFound


class Rollback(Exception):
    """Ends a caller's transaction without a commit."""


def _sqlalchemy(url: str) -> Any:
    return create_engine(url.replace("postgresql://", "postgresql+psycopg://"), poolclass=NullPool)


@contextmanager
def orm_session(url: str) -> Iterator[Session]:
    """A SQLAlchemy session in a transaction."""
    engine = _sqlalchemy(url)
    with Session(engine) as session, session.begin():
        yield session
    engine.dispose()


@contextmanager
def core_connection(url: str) -> Iterator[Any]:
    """A SQLAlchemy connection in a transaction."""
    with _sqlalchemy(url).begin() as connection:
        yield connection


@contextmanager
def driver_connection(url: str) -> Iterator[psycopg.Connection[Any]]:
    """A psycopg connection in a transaction, with a row factory of its own."""
    with psycopg.connect(url, row_factory=psycopg.rows.dict_row) as connection:
        yield connection


Begin = Callable[[str], AbstractContextManager[Any]]
callers = pytest.mark.parametrize(
    "begin", [orm_session, core_connection, driver_connection], ids=lambda each: each.__name__
)


@callers
def test_a_run_does_not_exist_before_the_commit_and_runs_by_itself_after_it(running: Stage, begin: Begin) -> None:
    with begin(running.database_url) as session:
        run = running.submit(flows.diamond, {"n": 3}, session=session)

        with pytest.raises(RunNotFound):
            run.record  # noqa: B018  the property asks the database, on another connection

    assert run.wait(timeout=20).result == {"bottom": {"left": 4, "right": 6}}


@callers
def test_a_rollback_leaves_nothing_of_the_run(running: Stage, begin: Begin) -> None:
    with suppress(Rollback), begin(running.database_url) as session:
        run = running.submit(flows.diamond, {"n": 3}, session=session)
        raise Rollback

    for table in ("runs", "steps", "events"):
        column = "id" if table == "runs" else "run_id"
        assert running.rows(f"SELECT FROM {table} WHERE {column} = %s", run.id) == []


def test_the_callers_own_rows_and_the_run_commit_together(running: Stage) -> None:
    with driver_connection(running.database_url) as connection:
        connection.execute("CREATE TABLE orders (id integer PRIMARY KEY)")
    with driver_connection(running.database_url) as connection:
        connection.execute("INSERT INTO orders VALUES (17)")
        run = running.submit(flows.diamond, {"n": 17}, session=connection)
        assert connection.execute("SELECT 1 AS number").fetchone() == {"number": 1}  # its row factory is untouched

    assert run.wait(timeout=20).state == "succeeded"
    assert len(running.rows("SELECT FROM orders WHERE id = 17")) == 1


def test_an_idempotency_key_in_a_transaction_leads_to_the_run_that_has_it(running: Stage) -> None:
    first = running.submit(flows.diamond, {"n": 1}, idempotency_key="in-a-transaction")

    with driver_connection(running.database_url) as connection:
        again = running.submit(flows.diamond, {"n": 1}, idempotency_key="in-a-transaction", session=connection)

    assert (again.id, again.created) == (first.id, False)
    first.wait(timeout=20)


def test_a_workflow_never_submitted_before_can_be_submitted_in_a_transaction(running: Stage) -> None:
    with Client(running.settings) as client, driver_connection(running.database_url) as connection:
        run = client.submit(flows.chain, None, session=connection)
        connection.commit()

        assert run.wait(timeout=20).state == "succeeded"


@pytest.mark.parametrize("session", ["postgresql://", object(), 3])
def test_what_is_no_session_is_refused(running: Stage, session: object) -> None:
    with pytest.raises(InvalidInput, match="session: must be a SQLAlchemy Session or Connection"):
        running.submit(flows.diamond, {"n": 1}, session=session)


def test_a_session_on_another_database_is_refused(running: Stage, postgres_url: str) -> None:
    with driver_connection(postgres_url) as elsewhere, pytest.raises(Exception, match=r"wfe db upgrade|not registered"):
        running.submit(flows.diamond, {"n": 1}, session=elsewhere)

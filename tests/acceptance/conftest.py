"""Stages for acceptance tests: one shared by the tests that break nothing, fresh ones for those that do."""

import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from tests.support.checker import check
from tests.support.processes import Stage, stage
from workflow_engine.embedded.broker import EmbeddedBroker
from workflow_engine.embedded.postgres import EmbeddedPostgres
from workflow_engine.store.migration import upgrade

StageMaker = Callable[..., AbstractContextManager[Stage]]


def _url_of(server_url: str, name: str) -> str:
    parts = conninfo_to_dict(make_conninfo(server_url))
    password = f":{parts['password']}" if parts.get("password") else ""
    return f"postgresql://{parts.get('user', 'postgres')}{password}@{parts['host']}:{parts.get('port', 5432)}/{name}"


def _create(server_url: str, name: str, template: str | None = None) -> str:
    create = sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name))
    if template:
        create += sql.SQL(" TEMPLATE {}").format(sql.Identifier(template))
    with psycopg.connect(server_url, autocommit=True) as connection:
        connection.execute(create)
    return _url_of(server_url, name)


def _drop(server_url: str, name: str) -> None:
    with psycopg.connect(server_url, autocommit=True) as connection:
        connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


@pytest.fixture(scope="session")
def migrated(postgres_url: str) -> Iterator[str]:
    """The name of a migrated database, to be cloned."""
    name = f"acceptance_{uuid4().hex[:12]}"
    upgrade(_create(postgres_url, name))
    yield name
    _drop(postgres_url, name)


@contextmanager
def _fresh_database(postgres_url: str, template: str | None) -> Iterator[str]:
    name = f"stage_{uuid4().hex[:12]}"
    url = _create(postgres_url, name, template)
    try:
        yield url
    finally:
        _drop(postgres_url, name)


@pytest.fixture(scope="session")
def new_stage(postgres_url: str, broker_url: str, migrated: str, server_folder: Path) -> StageMaker:
    """Make a stage with a database of its own; its queue is its own, the broker may be shared."""

    @contextmanager
    def make(*, broker: str = broker_url, database: str | None = None, **settings: Any) -> Iterator[Stage]:
        with ExitStack() as stack:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="stage-", dir=server_folder)))
            url = database or stack.enter_context(_fresh_database(postgres_url, migrated))
            yield stack.enter_context(stage(folder, url, broker, **settings))

    return make


@pytest.fixture(scope="session")
def shared_stage(new_stage: StageMaker) -> Iterator[Stage]:
    """A stage with a worker and a coordinator, for tests that break neither."""
    with new_stage() as made:
        made.start_coordinator()
        made.start_worker("-c3")
        yield made
        check(made)


@pytest.fixture
def running(shared_stage: Stage) -> Stage:
    """The shared stage."""
    return shared_stage


@pytest.fixture(scope="module")
def small_results(new_stage: StageMaker) -> Iterator[Stage]:
    """A stage where a result may have ten thousand bytes."""
    with new_stage(result_limit_bytes=10_000) as made:
        made.start_worker("-c1")
        yield made


@pytest.fixture
def lonely_stage(new_stage: StageMaker) -> Iterator[Stage]:
    """A stage of the test's own, without worker and coordinator; its history is proved at the end."""
    with new_stage() as made:
        yield made
        check(made)


@pytest.fixture
def own_broker(tmp_path: Path) -> Iterator[EmbeddedBroker]:
    """A broker that the test may stop, flush and start again."""
    with EmbeddedBroker(tmp_path / "broker", persistent=False) as server:
        yield server


@pytest.fixture
def own_database(tmp_path: Path) -> Iterator[EmbeddedPostgres]:
    """A PostgreSQL that the test may stop and start again."""
    with EmbeddedPostgres(tmp_path / "postgres", fsync=False) as server:
        upgrade(server.url)
        yield server

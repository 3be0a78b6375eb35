"""Stages for acceptance tests: one shared by the tests that break nothing, fresh ones for those that do."""

import os
from collections.abc import Iterator
from uuid import uuid4

import psycopg
import pytest
from kombu import Connection
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict

from tests.fixtures.stages import StageMaker
from tests.support.checker import check
from tests.support.processes import Stage

RABBITMQ = "amqp://guest:guest@127.0.0.1:5672//"


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
def rabbitmq_stage(new_stage: StageMaker) -> Iterator[Stage]:
    """A stage on RabbitMQ, without worker and coordinator; its queue is deleted at the end."""
    try:
        with Connection(RABBITMQ, connect_timeout=3) as connection:
            connection.ensure_connection(max_retries=1)
    except OSError as error:
        if os.environ.get("WFE_SKIP_RABBITMQ") == "1":
            pytest.skip("WFE_SKIP_RABBITMQ=1")
        pytest.fail(
            f"NO RABBITMQ at {RABBITMQ} ({error}): start one, or say WFE_SKIP_RABBITMQ=1 to leave its tests out"
        )
    with new_stage(broker=RABBITMQ) as made:
        yield made
        check(made)
        queue = made.settings.queue
    with Connection(RABBITMQ) as connection:
        connection.default_channel.queue_delete(queue)


@pytest.fixture
def empty_database(postgres_url: str) -> Iterator[str]:
    """A database for one page; the page migrates it."""
    name = f"page_{uuid4().hex[:12]}"
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        parts = conninfo_to_dict(postgres_url)
        password = f":{parts['password']}" if parts.get("password") else ""
        yield f"postgresql://{parts['user']}{password}@{parts['host']}:{parts.get('port', 5432)}/{name}"
        connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))

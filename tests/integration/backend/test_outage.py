"""PostgreSQL goes away while workers finish tasks, and comes back."""

from collections.abc import Iterator
from pathlib import Path
from threading import Timer
from uuid import uuid4

import psycopg
import pytest
from celery import chord
from celery.app.task import Context
from celery.exceptions import BackendGetMetaError, BackendStoreError, NotRegistered, Reject
from celery.utils.objects import Bunch

from tests.integration.backend.canvas_app import create_app
from tests.integration.backend.running import Canvas, canvas, create_tables, url_of, wait_until
from workflow_engine.embedded.postgres import EmbeddedPostgres

SECONDS = 40


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedPostgres]:
    """A PostgreSQL that these tests may stop."""
    with EmbeddedPostgres(tmp_path_factory.mktemp("outage") / "postgres", fsync=False) as server:
        yield server


@pytest.fixture
def here(server: EmbeddedPostgres, broker_url: str) -> Iterator[Canvas]:
    with canvas(server.url, broker_url) as here:
        yield here


@pytest.fixture
def empty_database(server: EmbeddedPostgres) -> str:
    """A database that nobody has migrated."""
    name = f"empty_{uuid4().hex[:12]}"
    with psycopg.connect(server.url, autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{name}"')
    return url_of(server.url, name)


def test_a_finished_task_waits_for_postgresql_and_is_not_run_again(
    here: Canvas, server: EmbeddedPostgres, tmp_path: Path
) -> None:
    with here.worker("--pool", "prefork", "--concurrency", "2"):
        header = [here.tasks.touches.s(str(tmp_path / str(number))) for number in range(2)]
        result = chord([*header, here.tasks.same.s("warm")])(here.tasks.same.s())
        wait_until((tmp_path / "1").exists, within=SECONDS, why="the parts run")
        server.stop()
        for number in range(2):
            (tmp_path / str(number)).write_text("end")
        wait_until(lambda: (tmp_path / "1").read_text() == "ended", within=SECONDS, why="the parts have ended")
        server.start()
        assert result.get(timeout=SECONDS)[-1] == "warm"

    assert [(tmp_path / str(number)).read_text() for number in range(2)] == ["ended", "ended"]


def test_a_message_is_not_acknowledged_before_its_result_is_stored(
    here: Canvas, server: EmbeddedPostgres, tmp_path: Path
) -> None:
    path = tmp_path / "deliveries"
    with here.worker("--pool", "prefork", "--concurrency", "1", CANVAS_MAX_RETRIES="0"):
        assert here.tasks.same.delay(1).get(timeout=SECONDS) == 1
        server.stop()
        result = here.tasks.deliveries.delay(str(path))
        wait_until(lambda: path.exists() and path.stat().st_size >= 2, within=SECONDS, why="it comes again")
        server.start()

        assert result.get(timeout=SECONDS) >= 2


@pytest.mark.slow
def test_a_wait_survives_an_outage(here: Canvas, server: EmbeddedPostgres) -> None:
    task_id = str(uuid4())
    here.app.backend.mark_as_started(task_id)
    server.stop()

    def come_back() -> None:
        server.start()
        here.app.backend.mark_as_done(task_id, "done")

    Timer(1.0, come_back).start()

    assert here.app.AsyncResult(task_id).get(timeout=SECONDS) == "done"


@pytest.mark.slow
def test_a_question_is_answered_with_an_error_before_long(here: Canvas, server: EmbeddedPostgres) -> None:
    here.app.backend.mark_as_done("known", 1)
    server.stop()
    try:
        with pytest.raises(BackendGetMetaError):
            here.app.backend.get_task_meta(str(uuid4()))
    finally:
        server.start()


def test_a_task_that_a_worker_does_not_know_has_failed_and_the_worker_goes_on(here: Canvas) -> None:
    """As Celery's consumer says it: with less of a request than usual."""
    unknown = Bunch(
        name="no.such.task", chord=None, root_id=None, correlation_id="unknown", reply_to=None, errbacks=None
    )

    here.app.backend.mark_as_failure("unknown", NotRegistered("no.such.task"), request=unknown)

    assert here.app.AsyncResult("unknown").state == "FAILURE"


def test_a_message_is_given_back_when_patience_ends(empty_database: str) -> None:
    app, tasks = create_app("memory://", f"wfe+{empty_database}", "none", result_backend_max_retries=1)
    late = Context(id="a", task=tasks.same.name, called_directly=False)
    part = Context(vars(late) | {"group": "g", "chord": {"task": "body", "options": {}}})

    for request in (late, part):
        with pytest.raises(Reject) as raised:
            app.backend.mark_as_done("a", 1, request=request)
        assert raised.value.requeue
        with pytest.raises(Reject):
            app.backend.mark_as_failure("a", ValueError("why"), request=request)
    tasks.same.acks_late = False
    with pytest.raises(BackendStoreError):
        app.backend.mark_as_done("a", 1, request=late)
    app.backend.close()


def test_a_database_without_tables_says_what_to_do(empty_database: str) -> None:
    app, _ = create_app("memory://", f"wfe+{empty_database}", "none")

    with pytest.raises(BackendGetMetaError) as raised:
        app.backend.get_task_meta("a")
    assert "wfe db upgrade" in str(raised.value.__cause__)

    Timer(0.5, create_tables, (empty_database,)).start()
    app.backend.mark_as_done("a", "kept until then")
    assert app.backend.get_result("a") == "kept until then"
    app.backend.close()

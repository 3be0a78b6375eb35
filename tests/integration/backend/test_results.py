"""Storing and reading results and groups: no worker, a real database."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from threading import Timer
from typing import Any
from uuid import uuid4

import pytest
from celery import states
from celery.app.task import Context
from celery.exceptions import ImproperlyConfigured, TaskRevokedError
from celery.exceptions import TimeoutError as ResultTimeout

from tests.integration.backend.canvas_app import create_app
from tests.integration.backend.running import Canvas
from workflow_engine.celery_app.backend import DurableBackend

LATER = sorted(states.ALL_STATES - {states.SUCCESS, states.PENDING, states.RECEIVED})


class Custom(Exception):
    """An exception of the application's own."""


@pytest.fixture
def backend(canvas_here: Canvas) -> DurableBackend:
    return canvas_here.app.backend


@pytest.fixture
def task_id() -> str:
    return str(uuid4())


@pytest.fixture
def configured(canvas_here: Canvas) -> Iterator[Any]:
    """Make a backend with other settings on the same database."""
    backends = []

    def make(**settings: Any) -> DurableBackend:
        app, _ = create_app("memory://", f"wfe+{canvas_here.database_url}", "none", **settings)
        backends.append(app.backend)
        return app.backend

    yield make
    for backend in backends:
        backend.close()


def test_a_task_nobody_knows_is_pending(backend: DurableBackend, task_id: str) -> None:
    assert backend.get_task_meta(task_id) == {"status": "PENDING", "result": None}
    assert not backend.task_result_exists(task_id)


@pytest.mark.parametrize("value", [None, 0, "", "text", [1, [2]], {"a": {"b": None}}, "\x00", "ü" * 10_000])
def test_a_value_comes_back_as_it_went(backend: DurableBackend, task_id: str, value: Any) -> None:
    backend.mark_as_done(task_id, value)

    meta = backend.get_task_meta(task_id)
    assert (meta["status"], meta["result"], meta["children"], meta["traceback"]) == ("SUCCESS", value, [], None)
    assert meta["task_id"] == task_id
    assert datetime.now(UTC) - meta["date_done"] < timedelta(seconds=30)


def test_an_exception_comes_back_as_itself(backend: DurableBackend, task_id: str) -> None:
    backend.mark_as_failure(task_id, Custom("why", 3), traceback="where\x00\udcff")

    result = backend.app.AsyncResult(task_id)
    assert result.state == "FAILURE"
    assert isinstance(result.result, Custom)
    assert result.result.args == ("why", 3)
    assert result.traceback == "where\\x00\\udcff"
    with pytest.raises(Custom):
        result.get(timeout=1)


def test_an_exception_this_process_does_not_know_is_still_an_exception(backend: DurableBackend, task_id: str) -> None:
    backend.store_result(
        task_id,
        {"exc_type": "Gone", "exc_module": "not.here", "exc_message": ["why"]},
        states.FAILURE,
    )

    with pytest.raises(Exception, match="why") as raised:
        backend.app.AsyncResult(task_id).get(timeout=1)
    assert type(raised.value).__name__ == "Gone"


def test_started_retry_and_revoked_are_kept(backend: DurableBackend, task_id: str) -> None:
    backend.mark_as_started(task_id, pid=7)
    assert backend.get_task_meta(task_id)["result"] == {"pid": 7}

    backend.mark_as_retry(task_id, Custom("again"))
    assert backend.get_state(task_id) == "RETRY"
    assert isinstance(backend.get_result(task_id), Custom)

    backend.mark_as_revoked(task_id, "no more")
    assert backend.get_state(task_id) == "REVOKED"
    assert isinstance(backend.get_result(task_id), TaskRevokedError)


@pytest.mark.parametrize("state", LATER)
def test_a_success_is_never_replaced_by(backend: DurableBackend, task_id: str, state: str) -> None:
    backend.mark_as_done(task_id, "first")

    backend.store_result(task_id, Custom("late") if state in states.EXCEPTION_STATES else "late", state)

    assert (backend.get_state(task_id), backend.get_result(task_id)) == ("SUCCESS", "first")


def test_a_late_success_replaces_a_failure(backend: DurableBackend, task_id: str) -> None:
    backend.mark_as_failure(task_id, Custom("early"))

    backend.mark_as_done(task_id, "late")

    assert (backend.get_state(task_id), backend.get_result(task_id)) == ("SUCCESS", "late")


def test_an_ignored_result_is_not_stored(backend: DurableBackend, task_id: str) -> None:
    backend.mark_as_done(task_id, 1, request=Context(id=task_id, ignore_result=True))

    assert not backend.task_result_exists(task_id)


def test_extended_results_keep_the_request(configured: Any, task_id: str) -> None:
    backend = configured(result_extended=True)
    request = Context(
        id=task_id,
        task="a.task",
        args=[1, "two"],
        kwargs={"three": 3},
        hostname="here",
        retries=2,
        delivery_info={"routing_key": "fast"},
        group="g",
        parent_id="p",
        stamped_headers=["tenant"],
        stamps={"tenant": ["acme"]},
    )

    backend.mark_as_done(task_id, 1, request=request)

    result = backend.app.AsyncResult(task_id)
    assert (result.name, result.args, result.kwargs) == ("a.task", [1, "two"], {"three": 3})
    assert (result.worker, result.retries, result.queue) == ("here", 2, "fast")
    meta = backend.get_task_meta(task_id)
    assert (meta["group_id"], meta["parent_id"], meta["tenant"]) == ("g", "p", ["acme"])


def test_children_come_back_as_results(backend: DurableBackend, task_id: str) -> None:
    request = Context(id=task_id)
    request.children.append(backend.app.AsyncResult("child"))

    backend.mark_as_done(task_id, 1, request=request)

    assert backend.app.AsyncResult(task_id).children == [backend.app.AsyncResult("child")]


@pytest.mark.parametrize("serializer", ["json", "pickle"])
def test_each_serializer_round_trips(configured: Any, task_id: str, serializer: str) -> None:
    backend = configured(result_serializer=serializer, result_accept_content=[serializer])

    backend.mark_as_done(task_id, {"a": [1, None]})

    assert backend.get_result(task_id) == {"a": [1, None]}


def test_a_reader_with_another_serializer_reads_it(configured: Any, task_id: str) -> None:
    accept = ["json", "pickle"]
    configured(result_serializer="pickle", result_compression="gzip").mark_as_done(task_id, {"a": 1})

    assert configured(result_serializer="json", result_accept_content=accept).get_result(task_id) == {"a": 1}


def test_compressed_results_are_small_and_read_by_everyone(
    canvas_here: Canvas, configured: Any, backend: DurableBackend, task_id: str
) -> None:
    configured(result_compression="gzip").mark_as_done(task_id, "a" * 100_000)

    assert backend.get_result(task_id) == "a" * 100_000
    size = canvas_here.rows("SELECT octet_length(result) FROM task_results WHERE task_id = %s", task_id)
    assert size[0][0] < 1_000


def test_forgetting_deletes_the_row(canvas_here: Canvas, backend: DurableBackend, task_id: str) -> None:
    backend.mark_as_done(task_id, 1)

    backend.app.AsyncResult(task_id).forget()

    assert not canvas_here.rows("SELECT FROM task_results WHERE task_id = %s", task_id)


def test_groups_are_saved_replaced_restored_and_deleted(backend: DurableBackend) -> None:
    app, group_id = backend.app, str(uuid4())
    inner = app.GroupResult("inner", [app.AsyncResult("c")])
    app.GroupResult(group_id, [app.AsyncResult("a")]).save()
    saved = app.GroupResult(group_id, [app.AsyncResult("a"), inner], parent=app.AsyncResult("p"))
    saved.save()

    restored = app.GroupResult.restore(group_id)

    assert restored == saved
    restored.delete()
    assert app.GroupResult.restore(group_id) is None


def test_cleanup_deletes_what_has_expired_and_nothing_else(configured: Any) -> None:
    brief = configured(result_expires=0.001, result_failure_expires=3600)
    lasting = configured(result_expires=None)
    ids = {name: str(uuid4()) for name in ("brief", "failed", "lasting", "group")}
    brief.mark_as_done(ids["brief"], 1)
    brief.mark_as_failure(ids["failed"], Custom("kept longer"))
    brief.app.GroupResult(ids["group"], [brief.app.AsyncResult("a")]).save()
    lasting.mark_as_done(ids["lasting"], 1)

    brief.app.tasks["celery.backend_cleanup"]()

    assert lasting.find_metas(ids.values()).keys() == {ids["failed"], ids["lasting"]}
    assert lasting.app.GroupResult.restore(ids["group"]) is None


def test_beat_is_told_to_clean_up(backend: DurableBackend) -> None:
    assert not backend.supports_autoexpire


def test_a_wait_ends_soon_after_the_result(backend: DurableBackend, task_id: str) -> None:
    Timer(0.2, backend.mark_as_done, (task_id, "done")).start()
    before = datetime.now(UTC)

    assert backend.app.AsyncResult(task_id).get(timeout=10) == "done"

    assert datetime.now(UTC) - before < timedelta(seconds=0.6)


@pytest.mark.parametrize("timeout", [0, 0.05])
def test_a_wait_ends_with_its_timeout(backend: DurableBackend, task_id: str, timeout: float) -> None:
    before = datetime.now(UTC)

    with pytest.raises(ResultTimeout):
        backend.app.AsyncResult(task_id).get(timeout=timeout, interval=10)

    assert datetime.now(UTC) - before < timedelta(seconds=1)


def test_a_group_is_read_with_one_query_whatever_its_size(
    backend: DurableBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    app, ids = backend.app, [str(uuid4()) for _ in range(200)]
    for number, member in enumerate(ids):
        backend.mark_as_done(member, number)
    inner = app.GroupResult("inner", [app.AsyncResult(member) for member in ids[:100]])
    outer = app.GroupResult("outer", [inner, *(app.AsyncResult(member) for member in ids[100:])])
    asked, find_many = [], backend._results.find_many

    def count(*arguments: Any) -> Any:
        asked.append(arguments)
        return find_many(*arguments)

    monkeypatch.setattr(backend._results, "find_many", count)

    assert outer.get(timeout=10) == [list(range(100)), *range(100, 200)]
    assert len(asked) == 1


def test_waiting_for_a_chord_asks_for_its_whole_header_at_once(
    backend: DurableBackend, task_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = backend.app
    header = app.GroupResult("header", [app.AsyncResult(str(uuid4())) for _ in range(200)])
    body = app.AsyncResult(task_id, parent=header)
    asked, find_many = [], backend._results.find_many

    def count(*arguments: Any) -> Any:
        asked.append(arguments)
        return find_many(*arguments)

    monkeypatch.setattr(backend._results, "find_many", count)
    with pytest.raises(ResultTimeout):
        backend.wait_for_pending(body, timeout=0.1, on_interval=body._maybe_reraise_parent_error)

    assert len(asked) < 30
    backend.mark_as_failure(header[150].id, Custom("why"))
    with pytest.raises(Custom, match="why"):
        backend.wait_for_pending(body, timeout=10, on_interval=body._maybe_reraise_parent_error)


def test_a_failure_in_a_group_is_raised(backend: DurableBackend) -> None:
    app, ids = backend.app, [str(uuid4()) for _ in range(3)]
    backend.mark_as_done(ids[0], 1)
    backend.mark_as_failure(ids[1], Custom("why"))

    with pytest.raises(Custom, match="why"):
        app.GroupResult("g", [app.AsyncResult(member) for member in ids]).get(timeout=10)


def test_the_url_is_shown_without_its_password() -> None:
    app, _ = create_app("memory://", "wfe+postgresql://me:secret@host/db", "none")

    assert app.backend.as_uri() == "wfe+postgresql://me:**@host/db"
    assert app.backend.as_uri(include_password=True) == "wfe+postgresql://me:secret@host/db"


@pytest.mark.parametrize("prefix", ["", "wfe+"])
def test_a_backend_is_made_with_either_form_of_url(canvas_here: Canvas, task_id: str, prefix: str) -> None:
    backend = DurableBackend(app=canvas_here.app, url=prefix + canvas_here.database_url)

    backend.mark_as_done(task_id, 1)

    assert canvas_here.app.AsyncResult(task_id, backend=backend).get(timeout=1) == 1
    backend.close()


def test_a_backend_without_a_url_says_what_to_set(canvas_here: Canvas) -> None:
    with pytest.raises(ImproperlyConfigured, match=r"wfe\+postgresql://"):
        DurableBackend(app=canvas_here.app)


def test_an_eager_app_needs_no_database() -> None:
    app, tasks = create_app("memory://", "wfe+postgresql://nobody@127.0.0.1:1/none", "none")
    app.conf.task_always_eager = True

    assert tasks.add.delay(1, 2).get() == 3
    assert (tasks.add.s(1, 2) | tasks.add.s(3)).apply_async().get() == 6

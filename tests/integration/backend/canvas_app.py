"""The Celery app of these tests: built in the test's process, and by `celery -A` in the workers'."""

import os
from collections.abc import Callable
from pathlib import Path
from signal import SIGKILL
from threading import Event
from types import SimpleNamespace
from typing import Any

import psycopg
from celery import Celery, Task, chord, group
from celery.app.task import Context

from tests.support.matrix import is_rabbitmq
from workflow_engine.celery_app.backend import DurableBackend
from workflow_engine.celery_app.task_events import PromptReading

TRACE = "CREATE TABLE trace (number serial PRIMARY KEY, entry text NOT NULL)"


class DyingBackend(DurableBackend):
    """Kills its process once: after a chord's last part is committed, before the body is claimed and sent."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        settle = self._joiner.settle

        def die_first(chord_id: str, body: Any) -> None:
            died = Path(os.environ["CANVAS_DIED"])
            if not died.exists():
                died.touch()
                os.kill(os.getpid(), SIGKILL)
            settle(chord_id, body)

        self._joiner.settle = die_first


def create_app(broker_url: str, backend_url: str, prefix: str, **settings: Any) -> tuple[Celery, SimpleNamespace]:
    """Return an app and its tasks. ``prefix`` keeps apps on one broker apart."""
    app = Celery("canvas", broker=broker_url, backend=backend_url, set_as_current=False)
    app.loader.override_backends = {"dying": "tests.integration.backend.canvas_app:DyingBackend"}
    app.conf.update(
        broker_connection_retry_on_startup=True,
        task_default_queue=f"{prefix}.celery",
        task_acks_late=True,
        task_reject_on_worker_lost=True,
        task_allow_error_cb_on_chord_header=False,
        worker_prefetch_multiplier=1,
    )
    of_redis = {"global_keyprefix": f"{prefix}:", "max_connections": 200, **settings.pop("transport", {})}
    app.conf.broker_transport_options = {"confirm_publish": True} if is_rabbitmq(broker_url) else of_redis
    app.conf.update(settings)
    app.steps["consumer"].add(PromptReading)  # under gevent, Celery by itself takes ten messages a second from RabbitMQ
    return app, register(app)


def register(app: Celery) -> SimpleNamespace:
    """Define the tasks on an app."""
    database_url = app.conf.result_backend.partition("+")[2]

    def trace(entry: str) -> None:
        with psycopg.connect(database_url, autocommit=True) as connection:
            connection.execute("INSERT INTO trace (entry) VALUES (%s)", (entry,))

    def task(**options: Any) -> Any:
        return lambda function: app.task(name=f"canvas.{function.__name__}", shared=False, **options)(function)

    tasks = [*returning(task), *tracing(task, trace), *noting(task), *unusual(task), *replacing(task)]
    return SimpleNamespace(**{each.name.removeprefix("canvas."): each for each in tasks})


def returning(task: Any) -> list[Task]:
    """Define tasks that just return."""

    @task()
    def add(x: Any, y: Any) -> Any:
        return x + y

    @task()
    def total(numbers: list[int]) -> int:
        return sum(numbers)

    @task()
    def same(value: Any) -> Any:
        return value

    @task(ignore_result=True)
    def unkept(value: Any) -> Any:
        return value

    return [add, total, same, unkept]


def tracing(task: Any, trace: Callable[[str], None]) -> list[Task]:
    """Define tasks that leave a trace when they run."""

    @task()
    def traced(value: Any, entry: str = "traced") -> Any:
        trace(entry)
        return value

    @task()
    def slow(value: Any, seconds: float, entry: str = "slow") -> Any:
        Event().wait(seconds)
        trace(entry)
        return value

    @task(bind=True)
    def slow_at_first(self: Task, value: Any, seconds: float) -> Any:
        redelivered = self.request.delivery_info.get("redelivered")
        Event().wait(0 if redelivered else seconds)
        trace("redelivered" if redelivered else "first")
        return value

    @task()
    def errback(request: Context, exc: Exception, _: Any) -> None:
        trace(f"errback {type(exc).__name__}")

    @task()
    def old_errback(task_id: str) -> None:
        trace(f"old errback {task_id}")

    return [traced, slow, slow_at_first, errback, old_errback]


def noting(task: Any) -> list[Task]:
    """Define tasks that leave a trace outside the database."""

    @task()
    def touches(path: str) -> None:
        file = Path(path)
        assert not file.exists(), "run twice"
        file.touch()
        while file.read_text() != "end":
            Event().wait(0.02)
        file.write_text("ended")

    @task()
    def deliveries(path: str) -> int:
        with Path(path).open("a") as file:
            file.write("x")
        return Path(path).stat().st_size

    return [touches, deliveries]


def unusual(task: Any) -> list[Task]:
    """Define tasks that fail, retry or add to their chord."""

    @task()
    def fail(*_: Any) -> None:
        raise ValueError("as asked")

    @task()
    def dies() -> None:
        os.kill(os.getpid(), SIGKILL)

    @task(bind=True, max_retries=3)
    def flaky(self: Task, value: Any) -> Any:
        if self.request.retries < 2:
            raise self.retry(countdown=0)
        return value

    @task(bind=True)
    def adds_a_part(self: Task, value: int) -> int:
        self.add_to_chord(self.app.tasks["canvas.same"].s(value + 1))
        return value

    return [fail, dies, flaky, adds_a_part]


def replacing(task: Any) -> list[Task]:
    """Define tasks that put something else in their place."""

    def same(self: Task, value: Any) -> Any:
        return self.app.tasks["canvas.same"].s(value)

    @task(bind=True)
    def replaced(self: Task, value: Any) -> Any:
        return self.replace(same(self, value))

    @task(bind=True)
    def replaced_by_group(self: Task, value: int) -> Any:
        return self.replace(group(same(self, value), same(self, value + 1)))

    @task(bind=True)
    def replaced_by_chord(self: Task, value: int) -> Any:
        body = self.app.tasks["canvas.total"].s()
        return self.replace(chord([same(self, value), same(self, value + 1)], body))

    return [replaced, replaced_by_group, replaced_by_chord]


if "CANVAS_BACKEND" in os.environ:  # in a worker
    visibility = float(os.environ.get("CANVAS_VISIBILITY", "3600"))
    app, _tasks = create_app(
        os.environ["CANVAS_BROKER"],
        os.environ["CANVAS_BACKEND"],
        os.environ["CANVAS_PREFIX"],
        transport={
            "visibility_timeout": visibility,
            "unacked_restore_interval": 1,
            "unacked_restore_throttle": 1,
        },
        task_acks_late=os.environ.get("CANVAS_ACKS_LATE", "1") == "1",
        result_backend_max_retries=float(os.environ.get("CANVAS_MAX_RETRIES", "inf")),
    )

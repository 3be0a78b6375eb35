"""Databases, apps and workers for the tests of the result backend."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from time import monotonic
from types import SimpleNamespace
from typing import Any
from uuid import uuid4

import kombu
import psycopg
from celery import Celery
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from sqlalchemy import create_engine
from sqlalchemy.pool import NullPool

from tests.integration.backend.canvas_app import TRACE, create_app
from tests.support.matrix import is_rabbitmq
from workflow_engine.store.tables.results import chord_parts, chords, metadata, task_groups, task_results

ROOT = Path(__file__).resolve().parents[3]


def wait_until(condition: Callable[[], Any], *, within: float = 10.0, why: str = "the condition holds") -> None:
    """Return once ``condition`` is true; fail after ``within`` seconds."""
    deadline = monotonic() + within
    while not condition():
        assert monotonic() < deadline, f"not within {within:g} s: {why}"
        Event().wait(0.02)


@contextmanager
def fresh_database(postgres_url: str) -> Iterator[str]:
    """Make a database with the backend's tables and the tests' trace; drop it at the end."""
    name = f"backend_{uuid4().hex[:12]}"
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{name}"')
    url = url_of(postgres_url, name)
    create_tables(url)
    try:
        yield url
    finally:
        with psycopg.connect(postgres_url, autocommit=True) as connection:
            connection.execute(f'DROP DATABASE "{name}" WITH (FORCE)')


def url_of(server_url: str, name: str) -> str:
    """Return the URL of another database of a server."""
    parts = conninfo_to_dict(make_conninfo(server_url))
    password = f":{parts['password']}" if "password" in parts else ""
    return f"postgresql://{parts['user']}{password}@{parts['host']}:{parts.get('port', 5432)}/{name}"


def create_tables(url: str) -> None:
    """Create the backend's tables and the tests' trace."""
    engine = create_engine(url.replace("postgresql://", "postgresql+psycopg://"), poolclass=NullPool)
    metadata.create_all(engine, tables=[task_results, task_groups, chords, chord_parts])
    engine.dispose()
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(TRACE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Canvas:
    """A database, an app of this process on it, and what its workers need to know."""

    app: Celery
    tasks: SimpleNamespace
    database_url: str
    broker_url: str
    prefix: str

    def rows(self, query: str, *values: Any) -> list[tuple[Any, ...]]:
        """Run a query."""
        with psycopg.connect(self.database_url, autocommit=True) as connection:
            return connection.execute(query, values).fetchall()

    def traced(self, entry: str) -> int:
        """Return how often a task wrote this entry."""
        return int(self.rows("SELECT count(*) FROM trace WHERE entry = %s", entry)[0][0])

    def is_closed(self, chord_id: str) -> bool:
        """Tell whether a chord's body is confirmed as sent."""
        return bool(self.rows("SELECT FROM chords WHERE group_id = %s AND closed_at IS NOT NULL", chord_id))

    @contextmanager
    def queue(self) -> Iterator[kombu.Queue]:
        """Lend the queue of the app."""
        with self.app.connection_for_read() as connection:
            queue = self.app.amqp.queues[self.app.conf.task_default_queue].bind(connection.default_channel)
            queue.declare()
            yield queue

    @contextmanager
    def worker(self, *options: str, scheme: str = "wfe", **variables: str) -> Iterator["Worker"]:
        """Run a real worker until the end of the block."""
        worker = Worker(self, options, scheme, variables)
        try:
            worker.wait_until_ready()
            yield worker
        finally:
            worker.stop()


@contextmanager
def canvas(postgres_url: str, broker_url: str, **settings: Any) -> Iterator[Canvas]:
    """Make a database and an app on it."""
    prefix = f"canvas-{uuid4().hex[:12]}"
    with fresh_database(postgres_url) as database_url:
        app, tasks = create_app(broker_url, f"wfe+{database_url}", prefix, **settings)
        try:
            yield Canvas(app=app, tasks=tasks, database_url=database_url, broker_url=broker_url, prefix=prefix)
        finally:
            app.backend.close()
            if is_rabbitmq(broker_url):
                _delete_queue(app)
            app.close()


def _delete_queue(app: Celery) -> None:
    with app.connection_for_write() as connection:
        connection.default_channel.queue_delete(app.conf.task_default_queue)


class Worker:
    """A worker process and its pool, in a session of their own."""

    def __init__(self, canvas: Canvas, options: tuple[str, ...], scheme: str, variables: dict[str, str]) -> None:
        self._name = f"{uuid4().hex[:8]}@canvas"
        self._app = canvas.app
        command = [sys.executable, "-m", "celery", "-A", "tests.integration.backend.canvas_app", "worker"]
        own = ["--hostname", self._name, "--without-gossip", "--without-mingle", "--loglevel", "WARNING"]
        environment = os.environ | {
            "CANVAS_BROKER": canvas.broker_url,
            "CANVAS_BACKEND": f"{scheme}+{canvas.database_url}",
            "CANVAS_PREFIX": canvas.prefix,
            **variables,
        }
        self.process = subprocess.Popen([*command, *own, *options], cwd=ROOT, env=environment, start_new_session=True)

    def wait_until_ready(self) -> None:
        """Return once the worker answers."""
        inspect = self._app.control.inspect([self._name], timeout=0.3)
        wait_until(lambda: inspect.ping() is not None, within=30, why="the worker answers")

    def kill(self) -> None:
        """Kill the worker and its pool, as a power cut would."""
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(timeout=10)

    def stop(self) -> None:
        """Ask the worker to end, and see to it that nothing of it is left."""
        self.process.terminate()
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(timeout=10)
        with suppress(ProcessLookupError):
            self.kill()

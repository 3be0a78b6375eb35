"""The servers of a benchmark session: embedded ones, or those that ``WFE_DATABASE_URL`` and ``WFE_BROKER_URL`` name."""

import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import redis
from kombu import Connection
from psycopg import sql

from benchmarks.configuration import CANVAS_QUEUE, ENGINE_QUEUE, Configuration
from benchmarks.flower import running_flower
from benchmarks.workflows import UNSERVED
from workflow_engine.embedded.broker import EmbeddedBroker
from workflow_engine.embedded.postgres import EmbeddedPostgres
from workflow_engine.store import migration


class UnfairServer(Exception):
    """The servers would make the comparison worthless."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Servers:
    """What a benchmark session runs on."""

    configuration: Configuration
    folder: Path
    """For logs and traces."""
    processes: Mapping[str, int]
    """Process ids of the embedded servers, by name."""


@contextmanager
def session_servers(
    *, events: bool, same_transport: bool = False, volatile_broker: bool = False, flower: bool = False
) -> Iterator[Servers]:
    """Lend servers with a migrated database of their own, and a folder; all is gone afterwards.

    The embedded broker keeps an append-only file, as in `wfe dev`, unless it is to be volatile. Flower listens
    if asked for.

    Raises:
        UnfairServer: the database does not write to disk.
    """
    processes: dict[str, int] = {}
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="workflow-engine-benchmark-")))
        database_url = os.environ.get("WFE_DATABASE_URL")
        if not database_url:
            postgres = stack.enter_context(EmbeddedPostgres(folder / "postgres", fsync=True))
            database_url, processes["postgres"] = postgres.url, postgres.pid or 0
        broker_url = results_server = os.environ.get("WFE_BROKER_URL", "")
        if not is_redis(broker_url):  # Celery's results are in Redis, whatever carries the messages
            valkey = stack.enter_context(EmbeddedBroker(folder / "broker", persistent=not volatile_broker))
            results_server, processes["valkey"] = valkey.url, valkey.pid or 0
            broker_url = broker_url or valkey.url
        results_url = next_database(results_server)
        own = stack.enter_context(own_database(database_url))
        check_durable(own)
        migration.upgrade(own)
        stack.callback(_clean, broker_url)
        if flower:
            processes["flower"] = stack.enter_context(running_flower(broker_url, folder))
        configuration = Configuration(database_url=own, broker_url=broker_url, results_url=results_url, events=events)
        yield Servers(configuration=configuration, folder=folder, processes=processes)


def check_durable(database_url: str) -> None:
    """Raise ``UnfairServer`` unless commits wait for the disk."""
    with psycopg.connect(database_url) as connection:
        for setting in ("fsync", "synchronous_commit", "full_page_writes"):
            row = connection.execute(sql.SQL("SHOW {}").format(sql.Identifier(setting))).fetchone()
            if row is None or row[0] != "on":
                raise UnfairServer(f"{setting} is {row and row[0]}: a durable engine would look too fast")


@contextmanager
def own_database(server_url: str, what: str = "session") -> Iterator[str]:
    """Lend a new database for something, and drop it afterwards."""
    name = f"workflow_engine_benchmark_{what}_{os.getpid()}"
    quoted = sql.Identifier(name)
    with psycopg.connect(server_url, autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE DATABASE {}").format(quoted))
    try:
        yield urlsplit(server_url)._replace(path=f"/{name}").geturl()
    finally:
        with psycopg.connect(server_url, autocommit=True) as connection:
            connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(quoted))


def is_redis(broker_url: str) -> bool:
    """Return whether a broker is a Redis or Valkey."""
    return urlsplit(broker_url).scheme in {"redis", "valkey"}


def next_database(broker_url: str) -> str:
    """Return the URL of the next database of a Redis, for Celery's results."""
    parts = urlsplit(broker_url)
    number = int(parts.path.strip("/") or 0)
    return parts._replace(scheme="redis", path=f"/{number + 1}").geturl()


def keys_of(broker: redis.Redis, queue: str) -> list[bytes]:
    """Return the keys of a queue: kombu keeps one list for each priority."""
    return list(broker.scan_iter(match=f"{queue}*", count=1_000))


def drop_queues(broker: redis.Redis, *queues: str) -> None:
    """Remove queues of ours with what is in them."""
    for queue in queues:
        for key in keys_of(broker, queue):
            broker.delete(key)


def _clean(broker_url: str) -> None:
    if not is_redis(broker_url):
        with Connection(broker_url) as connection:
            for queue in (ENGINE_QUEUE, CANVAS_QUEUE, UNSERVED):
                connection.default_channel.queue_delete(queue)
        return
    with redis.Redis.from_url(broker_url) as broker:
        drop_queues(broker, ENGINE_QUEUE, CANVAS_QUEUE, UNSERVED)

"""What a step costs, counted: statements, commits that wait for the disk, write-ahead log, commands of the broker.

Unlike times, counts do not depend on what else the machine does. One process runs the steps, so that no two
race for who sends what; the servers are embedded ones of its own, because PostgreSQL must load an extension to count.
"""

import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from threading import Event as Flag
from typing import Any, Final

import psycopg
import redis

from benchmarks.configuration import ENGINE_QUEUE, Configuration
from benchmarks.cpu import Meter
from benchmarks.servers import next_database, own_database
from benchmarks.sides import EngineSide
from benchmarks.workers import Worker
from workflow_engine.embedded.broker import EmbeddedBroker
from workflow_engine.embedded.postgres import EmbeddedPostgres
from workflow_engine.store import migration

CHAIN, DIAMONDS, WIDE = 100, 25, 100
_REPORTED: Final = 1.1
"""Seconds: a backend of PostgreSQL adds what it has written to the statistics about once a second, with a commit."""
_PREPARE: Final = (
    "ALTER SYSTEM SET shared_preload_libraries = 'pg_stat_statements'",
    "ALTER SYSTEM SET pg_stat_statements.max = 10000",
    "ALTER SYSTEM SET autovacuum = off",  # it writes too, whenever it likes
    "ALTER SYSTEM SET full_page_writes = off",  # which pages are written whole depends on when a checkpoint was
    "ALTER SYSTEM SET checkpoint_timeout = '1d'",
)
_STATEMENTS: Final = """
SELECT left(regexp_replace(query, '\\s+', ' ', 'g'), 60), sum(calls)::int, sum(wal_bytes)::bigint
  FROM pg_stat_statements JOIN pg_database ON pg_database.oid = dbid
 WHERE datname = current_database() AND query NOT LIKE '%pg_stat_%'
 GROUP BY 1
"""
_PATIENT: Final = {"WFE_KEPT_SECONDS": "3600"}
"""How far a process goes on is to depend on the number of steps alone, however long they take on a busy machine."""
_FSYNCS: Final = """
SELECT coalesce(sum(fsyncs), 0)::int
  FROM pg_stat_io WHERE object = 'wal' AND backend_type = 'client backend'
"""
_TRIES: Final = 4
_SETTLING: Final = 4
"""Steps of the run after which all that was before has been reported."""
_IN_THE_BACKGROUND: Final = (
    "INSERT INTO workers (",  # a heartbeat
    "SELECT group_id, body, body_content_type",  # whoever looks for chords that were left
    "SELECT count(*) FILTER (WHERE runs.state",  # our own question whether all is over
)
"""How statements begin that come with time, not with steps."""
_NOT_OF_STEPS: Final = frozenset({"info", "publish"})
"""Commands of the broker: our own, and what workers tell each other."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """What one step of a shape costs, its share of the submit included."""

    shape: str
    steps: int
    statements: float
    """Given to PostgreSQL, ``BEGIN`` and ``COMMIT`` among them."""
    fsyncs: float
    """Commits that waited for the disk."""
    wal_bytes: float
    """Of write-ahead log, without whole pages."""
    messages: float
    """Put into the broker's queues."""
    broker_commands: float
    by_statement: Mapping[str, int]
    by_command: Mapping[str, int]

    def as_json(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class _Reading:
    statements: Mapping[str, int]
    wal_bytes: int
    fsyncs: int
    commands: Mapping[str, int]


class _Ledger:
    """Reads the counters of both servers; what it asks itself is left out."""

    def __init__(self, configuration: Configuration) -> None:
        self._database = psycopg.connect(configuration.database_url, autocommit=True)
        self._broker = redis.Redis.from_url(configuration.broker_url)

    def read(self) -> _Reading:
        rows = [
            row for row in self._database.execute(_STATEMENTS).fetchall() if not row[0].startswith(_IN_THE_BACKGROUND)
        ]
        fsyncs = self._database.execute(_FSYNCS).fetchone()
        info = self._broker.info("commandstats")
        commands = {name.removeprefix("cmdstat_"): each["calls"] for name, each in info.items()}
        return _Reading(
            statements={start: calls for start, calls, _ in rows},
            wal_bytes=sum(int(wal) for _, _, wal in rows),
            fsyncs=fsyncs[0] if fsyncs else 0,
            commands={name: calls for name, calls in commands.items() if name not in _NOT_OF_STEPS},
        )

    def close(self) -> None:
        self._database.close()
        self._broker.close()


def counts(is_good: Callable[[Counts], bool] = lambda _: True) -> list[Counts]:
    """Return what a step costs in a chain, in diamonds and beside many others; what is not good is counted again.

    For a process that has to wait for a processor may take a step that does nothing for a long one, whose siblings are
    sent one by one.
    """
    with _counted() as (engine, ledger):
        _settle(engine)
        shapes = {
            f"chain of {CHAIN}": (lambda: engine.chain(CHAIN), CHAIN),
            f"{DIAMONDS} diamonds": (lambda: engine.diamonds(DIAMONDS), DIAMONDS * 4),
            f"1 -> {WIDE} -> 1": (lambda: engine.wide(WIDE), WIDE + 2),
        }
        for prepare, _ in shapes.values():  # so that plans are registered and known, and how long a step takes
            engine.run(prepare())
        before, found = _read_settled(engine, ledger), []
        for shape, (prepare, steps) in shapes.items():
            for _ in range(_TRIES):
                engine.run(prepare())
                after = _read_settled(engine, ledger)
                counted, before = _difference(shape, steps + _SETTLING, before, after), after
                if is_good(counted):
                    break
            found.append(counted)
    return found


def _read_settled(engine: EngineSide, ledger: _Ledger) -> _Reading:
    """Return what the servers have counted, once all that was before is among it."""
    _settle(engine)
    return ledger.read()


def _settle(engine: EngineSide) -> None:
    Flag().wait(_REPORTED)
    engine.run(engine.diamonds(1))


def _difference(shape: str, steps: int, before: _Reading, after: _Reading) -> Counts:
    statements = _grown(after.statements, before.statements)
    commands = _grown(after.commands, before.commands)
    return Counts(
        shape=shape,
        steps=steps,
        statements=sum(statements.values()) / steps,
        fsyncs=(after.fsyncs - before.fsyncs) / steps,
        wal_bytes=(after.wal_bytes - before.wal_bytes) / steps,
        messages=commands.get("lpush", 0) / steps,
        broker_commands=sum(commands.values()) / steps,
        by_statement=statements,
        by_command=commands,
    )


def _grown(after: Mapping[str, int], before: Mapping[str, int]) -> dict[str, int]:
    grown = {name: number - before.get(name, 0) for name, number in after.items()}
    return {name: number for name, number in sorted(grown.items()) if number}


@contextmanager
def _counted() -> Iterator[tuple[EngineSide, _Ledger]]:
    """Lend an engine whose worker has one process, on servers that count."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="workflow-engine-counts-")))
        with EmbeddedPostgres(folder / "postgres", fsync=False) as postgres:
            _prepare(postgres.url)
        database = stack.enter_context(EmbeddedPostgres(folder / "postgres", fsync=True)).url
        broker = stack.enter_context(EmbeddedBroker(folder / "broker", persistent=False)).url
        own = stack.enter_context(own_database(database, "counts"))
        migration.upgrade(own)
        with psycopg.connect(own, autocommit=True) as connection:
            connection.execute("CREATE EXTENSION pg_stat_statements")
        configuration = Configuration(database_url=own, broker_url=broker, results_url=next_database(broker))
        worker = stack.enter_context(
            Worker("engine_worker", ENGINE_QUEUE, configuration, folder, variables=_PATIENT, concurrency=1)
        )
        engine = EngineSide(configuration, worker.trace, Meter({}))
        stack.callback(engine.close)
        ledger = _Ledger(configuration)
        stack.callback(ledger.close)
        yield engine, ledger


def _prepare(url: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        for statement in _PREPARE:
            connection.execute(statement)

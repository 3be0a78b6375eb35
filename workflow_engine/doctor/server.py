"""What is to be said of a PostgreSQL by the way it is set up. Pure."""

from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import Final

from workflow_engine.doctor.finding import Finding, failing, fine, warning
from workflow_engine.model.durations import duration
from workflow_engine.model.workers import WorkerRecord
from workflow_engine.store.diagnosis import ServerFacts
from workflow_engine.store.migration import SchemaVersion

_CROWDED: Final = 0.8
_LONG_TRANSACTION: Final = timedelta(minutes=5)
_FORKING: Final = "prefork"


def on_server(facts: ServerFacts) -> Iterator[Finding]:
    """Yield what is to be said of the server itself."""
    if facts.is_read_only:
        yield failing(
            "database",
            f"PostgreSQL {facts.version} answers, but takes no writes: it is a replica, or read-only by default.",
            "Point WFE_DATABASE_URL at the primary.",
        )
    else:
        yield fine("database", f"PostgreSQL {facts.version} answers.")
    yield from _on_durability(facts)
    if (facts.oldest_transaction_seconds or 0.0) > _LONG_TRANSACTION.total_seconds():
        yield warning(
            "transactions",
            f"A transaction has been open for {_seconds(facts.oldest_transaction_seconds)}: subscribers get no event "
            "that was written since it began to write, and dead rows pile up.",
            "Find it in pg_stat_activity by xact_start; commit it, or end it with pg_terminate_backend(pid).",
        )


def on_schema(found: SchemaVersion) -> Finding:
    """Return what is to be said of the schema."""
    if found.current is None:
        return failing("schema", "The database has no tables of Workflow Engine.", "Run `wfe db upgrade`.")
    if not found.is_current:
        return failing(
            "schema",
            f"The schema is at migration {found.current}, this release wants {found.head}.",
            "Run `wfe db upgrade` (of the newest release that uses this database).",
        )
    return fine("schema", f"The schema is that of this release: migration {found.head}.")


def on_connections(facts: ServerFacts, workers: Sequence[WorkerRecord], per_process: int) -> Iterator[Finding]:
    """Yield whether there are connections enough for what runs."""
    usable = facts.usable_connections
    wanted = sum(connections_of(worker, per_process) for worker in workers)
    advice = (
        "Raise max_connections, or lower WFE_DATABASE_CONNECTIONS or the workers' concurrency; a pooler must work by "
        "session, for LISTEN and advisory locks."
    )
    if facts.connections >= usable * _CROWDED:
        yield warning("connections", f"{facts.connections} of {usable} connections are in use.", advice)
    elif wanted > usable:
        yield warning(
            "connections",
            f"{len(workers)} workers may open up to {wanted} connections, and PostgreSQL has {usable}.",
            advice,
        )
    else:
        yield fine("connections", f"{facts.connections} of {usable} connections are in use.")


def connections_of(worker: WorkerRecord, per_process: int) -> int:
    """Return how many connections a worker may open at most: a pool process needs one at a time, threads one each."""
    size = worker.concurrency or 1
    if worker.pool == _FORKING:
        return size + per_process + 1
    return min(size, per_process) + 1


def _on_durability(facts: ServerFacts) -> Iterator[Finding]:
    off = [
        name
        for name, on in (
            ("fsync", facts.fsync),
            ("full_page_writes", facts.full_page_writes),
            ("synchronous_commit", facts.synchronous_commit),
        )
        if not on
    ]
    if off:
        yield warning(
            "durability",
            f"{' and '.join(off)} {'is' if len(off) == 1 else 'are'} off: a crash of the database may lose what was "
            "committed, results of finished steps too.",
            f"Set {', '.join(f'{name} = on' for name in off)} in postgresql.conf, unless this is a test.",
        )
    else:
        yield fine("durability", "What is committed is on disk (fsync, full_page_writes, synchronous_commit).")


def _seconds(seconds: float | None) -> str:
    return duration(timedelta(seconds=seconds or 0.0))

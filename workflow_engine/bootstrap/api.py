"""What the HTTP API gets from an engine beside the client: probes to look through, and what is measured."""

from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

from workflow_engine.bootstrap.engine import Engine
from workflow_engine.engine.circuit_gauges import circuit_gauges
from workflow_engine.errors import BrokerUnavailable, DatabaseUnavailable
from workflow_engine.store import migration
from workflow_engine.store.database import Database

if TYPE_CHECKING:
    from workflow_engine.metrics.meter import Metrics


@dataclass(frozen=True, slots=True)
class NamedProbe:
    """Something without which a process can do nothing."""

    name: str
    look: Callable[[], str | None]
    """Returns what is wrong, for people; None if nothing is."""


def probes_of(engine: Engine) -> Sequence[NamedProbe]:
    """Return the probes of an engine's servers; each connects anew, beside the process's own connections."""
    database = engine.store.database
    return [
        NamedProbe("database", lambda: _look_at_database(database)),
        NamedProbe("migrations", lambda: _look_at_migrations(database)),
        NamedProbe("broker", lambda: _look_at_broker(engine)),
    ]


def metrics_of(engine: Engine) -> "Metrics | None":
    """Return what the process of an engine measures, with the circuits of what a client uses; None: nothing.

    Raises:
        ConfigurationError: the port for metrics is taken.
    """
    metrics = engine.metrics
    if metrics is not None:
        metrics.observe(circuit_gauges([engine.dispatcher.circuit, engine.event_bell.circuit]))
    return metrics


def _look_at_database(database: Database) -> str | None:
    try:
        database.connect().close()
    except DatabaseUnavailable as error:
        return _first_line(error)
    return None


def _look_at_migrations(database: Database) -> str | None:
    try:
        with closing(database.connect()) as connection:
            return migration.reason_not_current(connection, _head())
    except DatabaseUnavailable:
        return "nobody knows while the database is away"


def _look_at_broker(engine: Engine) -> str | None:
    try:
        engine.broker_connection.ping()
    except BrokerUnavailable as error:
        return _first_line(error)
    return None


@cache
def _head() -> str:
    return migration.head()


def _first_line(error: Exception) -> str:
    return next(iter(str(error).splitlines()), type(error).__name__)

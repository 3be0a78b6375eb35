"""Bring a database's schema up to this release, or back, and say where it stands."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, Final

import psycopg
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, MetaData, create_engine, pool, text
from sqlalchemy.exc import OperationalError

from alembic import command
from workflow_engine.errors import DatabaseUnavailable

_LOCK_KEY = 7_305_808_170_101  # any constant: the advisory lock that migrations of one database share
_TABLES: Final = (
    *("runs", "events", "results", "relay", "audit", "step_dead_letters", "timers", "schedules", "signals"),
    "stream_tickets",
)
"""The modules of ``store.tables``."""
_PARTITION: Final = re.compile(r"_(\d{4}_\d{2}|default)$")


@dataclass(frozen=True, slots=True, kw_only=True)
class SchemaVersion:
    """Where a database stands and where this release wants it."""

    current: str | None
    """None: no migration has ever run there."""
    head: str

    @property
    def is_current(self) -> bool:
        """Whether nothing is to be done."""
        return self.current == self.head


def upgrade(database_url: str, revision: str = "head") -> None:
    """Run the migrations up to ``revision``.

    Raises:
        DatabaseUnavailable: PostgreSQL does not answer.
    """
    _run(command.upgrade, database_url, revision)


def downgrade(database_url: str, revision: str) -> None:
    """Run the migrations back to ``revision`` (``base``: nothing is left).

    Raises:
        DatabaseUnavailable: PostgreSQL does not answer.
    """
    _run(command.downgrade, database_url, revision)


def version(database_url: str) -> SchemaVersion:
    """Return where a database stands.

    Raises:
        DatabaseUnavailable: PostgreSQL does not answer.
    """
    head = ScriptDirectory.from_config(_config(database_url)).get_current_head() or ""
    engine = create_engine(sqlalchemy_url(database_url), poolclass=pool.NullPool)
    try:
        with engine.connect() as connection:
            current = MigrationContext.configure(connection).get_current_revision()
    except OperationalError as error:
        raise DatabaseUnavailable(f"PostgreSQL does not answer: {error.orig}") from error
    return SchemaVersion(current=current, head=head)


def reason_not_current(connection: psycopg.Connection[Any], head: str) -> str | None:
    """Return what is wrong with the schema of the database that a connection leads to; None if it is ``head``'s."""
    try:
        row = connection.execute("SELECT version_num FROM alembic_version").fetchone()
    except psycopg.errors.UndefinedTable:
        return "the database has no Workflow Engine tables; run `wfe db upgrade`"
    current = None if row is None else row[0]
    return None if current == head else f"the schema is {current}, and this release needs {head}; run `wfe db upgrade`"


def head() -> str:
    """Return the schema that this release wants."""
    return ScriptDirectory.from_config(_config("postgresql://")).get_current_head() or ""


def lock(connection: Connection) -> None:
    """Wait until no other process migrates this database; held until the transaction ends."""
    connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK_KEY})


def metadata() -> MetaData:
    """Return every table this release knows."""
    for name in _TABLES:
        import_module(f"workflow_engine.store.tables.{name}")
    tables: MetaData = import_module("workflow_engine.store.tables.metadata").metadata
    return tables


def is_no_partition(name: str | None, kind: str, parents: Mapping[Any, Any]) -> bool:
    """Tell whether something is to be compared with ``metadata``: partitions come and go. For ``include_name``."""
    del parents
    return kind != "table" or name is None or _PARTITION.search(name) is None


def sqlalchemy_url(database_url: str) -> str:
    """Return a libpq URL as SQLAlchemy wants it, for psycopg 3."""
    scheme, _, rest = database_url.partition("://")
    return database_url if "+" in scheme else f"postgresql+psycopg://{rest}"


def _run(action: object, database_url: str, revision: str) -> None:
    try:
        action(_config(database_url), revision)  # type: ignore[operator]  # alembic's commands share this form
    except OperationalError as error:
        raise DatabaseUnavailable(f"PostgreSQL does not answer: {error.orig}") from error


def _config(database_url: str) -> Config:
    config = Config()
    config.set_main_option("script_location", str(_scripts()).replace("%", "%%"))
    config.attributes["database_url"] = database_url
    return config


def _scripts() -> Path:
    """Return the migrations: inside the installed package, or beside it in a checkout."""
    package = Path(__file__).resolve().parents[1]
    installed = package / "migrations"
    return installed if installed.is_dir() else package.parent / "alembic"

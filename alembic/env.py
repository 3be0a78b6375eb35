"""Alembic's entry: run migrations on the database the caller names."""

from sqlalchemy import create_engine, pool

from alembic import context
from workflow_engine.config import Settings
from workflow_engine.store import migration

config = context.config


def database_url() -> str:
    """Return the URL set by ``wfe db``, or else the one in the settings."""
    return str(config.attributes.get("database_url") or Settings().require_database_url())


def run() -> None:
    """Run the migrations in one transaction, one process at a time."""
    engine = create_engine(migration.sqlalchemy_url(database_url()), poolclass=pool.NullPool)
    with engine.connect() as connection:
        context.configure(
            connection=connection,
            target_metadata=migration.metadata(),
            compare_server_default=True,
            include_name=migration.is_no_partition,
        )
        with context.begin_transaction():
            migration.lock(connection)
            context.run_migrations()
    engine.dispose()


run()

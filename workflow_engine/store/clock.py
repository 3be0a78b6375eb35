"""The database's clock: the same for every host, whatever their own ones say."""

from datetime import datetime

from workflow_engine.store.transaction import Store


class DatabaseClock:
    """Tells PostgreSQL's time, for decisions that a host with a wrong clock must not make."""

    def __init__(self, store: Store) -> None:
        """Ask this database."""
        self._store = store

    def now(self) -> datetime:
        """Return the present moment.

        Raises:
            DatabaseUnavailable: PostgreSQL does not answer.
        """
        with self._store.single() as tx:
            return tx.now()

"""Session: one connection of the relay, and all that was learnt through it."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from threading import Lock

from workflow_engine.errors import DatabaseUnavailable
from workflow_engine.model.records import EventRecord
from workflow_engine.store.transaction import Transaction, readable_errors


class Session:
    """The one connection through which a relay reads the log and advances cursors, until it breaks.

    What was read through it is believed as long as it lives. A database that crashed has forgotten its youngest
    transactions and gives their places in the log to others: whoever had read them must not say so afterwards.
    """

    def __init__(self, tx: Transaction) -> None:
        """Share the connection of ``tx`` between the threads of this process."""
        self._tx = tx
        self._lock = Lock()
        self.is_over = False

    @contextmanager
    def single(self) -> Iterator[Transaction]:
        """Statements that each commit by themselves.

        Raises:
            DatabaseUnavailable: the connection broke, now or before.
        """
        with self._lock:
            if self.is_over:
                raise DatabaseUnavailable("the relay's connection is over")
            try:
                with readable_errors():
                    yield self._tx
            finally:
                if self._tx.connection.closed:
                    self.is_over = True

    @contextmanager
    def transaction(self) -> Iterator[Transaction]:
        """Statements that commit together, or not at all.

        Raises:
            DatabaseUnavailable: the connection broke, now or before.
        """
        with self.single() as tx, tx.connection.transaction():
            yield tx

    def end(self) -> None:
        """Use the connection no more."""
        self.is_over = True

    def read(self, after: int, limit: int) -> Sequence[EventRecord]:
        """Return committed events after a place of the log, in order."""
        with self.single() as tx:
            return tx.event_log.read(after, limit)

    def head(self) -> int:
        """Return the largest place of the log that can be seen."""
        with self.single() as tx:
            return tx.event_log.head()

    def writers(self) -> frozenset[str]:
        """Return who may have taken a place in the log that cannot be seen yet."""
        with self.single() as tx:
            return tx.cursors.writers()

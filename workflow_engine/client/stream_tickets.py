"""StreamTickets: for browsers, whose EventSource cannot send a token: a word that opens one stream, once, soon."""

import hashlib
import secrets
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, Final

from workflow_engine.store.transaction import Store

TICKET_LIFE: Final = timedelta(seconds=60)
_BYTES: Final = 32


class StreamTickets:
    """Tickets, in the database, so that any process of the API takes what another one gave."""

    def __init__(self, store: Store) -> None:
        """Keep them in ``store``; only their digests, so that nobody who reads the table could use one."""
        self._store = store

    def give(self, caller: Mapping[str, Any]) -> tuple[str, datetime]:
        """Return a new ticket that stands for a caller, and until when it is good.

        Raises:
            DatabaseUnavailable: PostgreSQL does not answer.
        """
        ticket = secrets.token_urlsafe(_BYTES)
        with self._store.single() as tx:
            return ticket, tx.streams.save_ticket(_digest(ticket), caller, TICKET_LIFE.total_seconds())

    def take(self, ticket: str) -> Mapping[str, Any] | None:
        """Use a ticket up, and return whom it stands for; None if there is none, it was used or its time is over.

        Raises:
            DatabaseUnavailable: PostgreSQL does not answer.
        """
        with self._store.single() as tx:
            return tx.streams.take_ticket(_digest(ticket))


def _digest(ticket: str) -> bytes:
    return hashlib.sha256(ticket.encode("utf-8", "replace")).digest()

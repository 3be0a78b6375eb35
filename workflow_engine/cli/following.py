"""The event log as it grows: what is in it, then what comes, nothing left out and nothing twice.

Places in the log are taken before the commit, so a later event may be seen earlier. Following goes on as the relay
does: past no gap into which an event may yet come.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from threading import Event as Flag
from typing import Final

from workflow_engine.errors import DatabaseUnavailable
from workflow_engine.model.records import EventRecord
from workflow_engine.relay.following import onward, settled_head
from workflow_engine.relay.order import place_of
from workflow_engine.relay.session import Session
from workflow_engine.store.channels import EVENTS, Subscription
from workflow_engine.store.event_search import EventFilter, EventSearch
from workflow_engine.store.transaction import Store, Transaction

PAGE: Final = 1_000
"""Events read at once."""
RECONNECT_SECONDS: Final = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Past:
    """How much of what is in the log is wanted: the newest ``limit``, of those since a moment; None is all."""

    limit: int | None
    since: datetime | None = None


def past_events(store: Store, wanted: EventFilter, past: Past) -> Iterator[EventRecord]:
    """Yield what is in the log now."""
    with store.single() as tx:
        yield from _past(tx, wanted, past, until=tx.event_log.head())


class Follower:
    """Yields what is in the log, then what comes, for ever; goes on where it was when the database is back."""

    def __init__(self, store: Store, wanted: EventFilter, *, poll_seconds: float) -> None:
        """Read from ``store``; without a bell, look every ``poll_seconds``."""
        self._store = store
        self._wanted = wanted
        self._poll_seconds = poll_seconds
        self._position: int | None = None

    def events(self, past: Past, lost: Callable[[DatabaseUnavailable], None]) -> Iterator[EventRecord]:
        """Yield events; ``lost`` is told whenever the database went away meanwhile.

        Raises:
            DatabaseUnavailable: it did not answer at the beginning.
        """
        while True:
            try:
                yield from self._connected(past)
            except DatabaseUnavailable as error:
                if self._position is None:
                    raise
                lost(error)
                Flag().wait(RECONNECT_SECONDS)

    def _connected(self, past: Past) -> Iterator[EventRecord]:
        with self._store.single() as tx, Subscription(self._store.database, EVENTS) as bell:
            session = Session(tx)
            if self._position is None:
                head = settled_head(session, bell)
                for event in _past(tx, self._wanted, past, until=head):
                    self._position = place_of(event)
                    yield event
                self._position = head
            self._position = min(self._position, session.head())  # a crash may have forgotten the youngest events
            for page in onward(session, bell, self._position, poll_seconds=self._poll_seconds, stop=Flag()):
                for event in page:
                    self._position = place_of(event)
                    if self._wanted.fits(event):
                        yield event


def _past(tx: Transaction, wanted: EventFilter, past: Past, *, until: int) -> Iterator[EventRecord]:
    search = EventSearch(tx.connection)
    after = 0 if past.since is None else tx.event_log.position_at(past.since)
    if past.limit is not None:
        yield from search.newest(wanted, past.limit, after=after, until=until)
        return
    while page := search.page(wanted, PAGE, after=after, until=until):
        yield from page
        after = place_of(page[-1])

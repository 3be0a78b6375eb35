"""RunTail: what is new of one run at each look, every event once, whenever it is committed."""

from collections.abc import Iterator
from threading import Event as Flag
from time import monotonic
from typing import Final

from workflow_engine.errors import RunNotFound, RunTimeout
from workflow_engine.ids import RunId
from workflow_engine.model.horizon import Horizon
from workflow_engine.model.records import EventRecord, RunRecord
from workflow_engine.store.transaction import Store
from workflow_engine.store.views import Views

LOOK_SECONDS: Final = 0.1
"""Between two looks at a run."""
EVENTS_PAGE: Final = 10_000
"""Events that one query reads."""


class RunTail:
    """Tells what has come since the last look.

    An event may be seen after one with a later place in the log, so what is not settled yet is read again, and what
    was told of it is not told twice.
    """

    def __init__(self, run_id: RunId, store: Store, record: RunRecord) -> None:
        """Begin before the first event of the run."""
        self.record = record
        """The run's row at the last look."""
        self._run_id = run_id
        self._store = store
        self._horizon = Horizon()
        self._settled = 0
        self._told: frozenset[int] = frozenset()

    def look(self) -> list[EventRecord]:
        """Return the events that were not told before, oldest first.

        Raises:
            RunNotFound: the run was deleted meanwhile.
            DatabaseUnavailable: PostgreSQL does not answer.
        """
        with self._store.single() as tx:
            record = tx.views.find_run(self._run_id)  # first: what ended the run is in the log by then
            if record is None:
                raise RunNotFound(self._run_id)
            self._horizon.observe(tx.event_log.head(), tx.cursors.writers())
            found = read_events(tx.views, self._run_id, self._settled)
        self.record = record
        places = [event.position or 0 for event in found]
        news = [event for event, place in zip(found, places, strict=True) if place not in self._told]
        self._settled = self._horizon.settled
        self._told = frozenset(place for place in places if place > self._settled)
        return news

    def looks(self, timeout: float | None = None) -> Iterator[list[EventRecord]]:
        """Look again and again until the run has ended; yield what was new each time, which may be nothing.

        Raises:
            RunTimeout: it had not ended after ``timeout`` seconds; it goes on.
        """
        deadline = None if timeout is None else monotonic() + timeout
        while True:
            yield self.look()
            if self.record.is_final:
                return
            if deadline is not None and monotonic() >= deadline:
                raise RunTimeout(self._run_id, self.record.state, timeout or 0.0)
            Flag().wait(LOOK_SECONDS)


def read_events(views: Views, run_id: RunId, after: int) -> list[EventRecord]:
    """Return all of a run's events after a place of the log, oldest first."""
    found: list[EventRecord] = []
    while page := views.events_of(run_id, found[-1].position or 0 if found else after, EVENTS_PAGE):
        found += page
        if len(page) < EVENTS_PAGE:
            break
    return found

"""History: what somebody missed who watched live and was away, page by page."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from workflow_engine.ids import RunId
from workflow_engine.model.records import EventRecord
from workflow_engine.relay.live import Told
from workflow_engine.relay.order import place_of
from workflow_engine.store.event_search import EventFilter, EventSearch
from workflow_engine.store.transaction import Store

_STRETCH: Final = 10_000
"""Places of the log that one question looks at, where no index leads to what is wanted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Interest:
    """Which events somebody watches: those of one namespace that fit every field; None leaves a field open."""

    namespace: str
    run_id: RunId | None = None
    workflow: str | None = None
    names: frozenset[str] | None = None
    initiator: str | None = None
    """Of the run."""

    def fits(self, event: EventRecord, initiator: str | None) -> bool:
        """Return whether an event of a run that ``initiator`` submitted is wanted."""
        return (
            event.namespace == self.namespace
            and (self.run_id is None or event.run_id == self.run_id)
            and (self.workflow is None or event.workflow == self.workflow)
            and (self.names is None or event.name in self.names)
            and (self.initiator is None or initiator == self.initiator)
        )


class History:
    """Questions about the past of the event log."""

    def __init__(self, store: Store) -> None:
        """Ask ``store``."""
        self._store = store

    def page(self, interest: Interest, *, after: int, until: int, limit: int) -> tuple[Sequence[Told], int]:
        """Return the first events of interest after a place, ``limit`` at most, and up to which place they are all.

        The place is ``until`` or before it. It must be one up to which no event can come any more.

        Raises:
            DatabaseUnavailable: PostgreSQL does not answer.
        """
        wanted = EventFilter(
            run_id=interest.run_id,
            names=interest.names,
            namespace=interest.namespace,
            workflow=interest.workflow,
        )
        if interest.run_id is None:
            until = min(until, after + _STRETCH)
        with self._store.single() as tx:
            found = EventSearch(tx.connection).page(wanted, limit, after=after, until=until)
            run_ids = {event.run_id for event in found if event.run_id is not None}
            initiators = tx.streams.initiators(run_ids) if interest.initiator is not None and run_ids else {}
        told = [Told(event, None if event.run_id is None else initiators.get(event.run_id)) for event in found]
        reached = place_of(found[-1]) if len(found) == limit else until
        return [each for each in told if interest.fits(each.event, each.initiator)], reached

    def oldest(self) -> int | None:
        """Return the first place that the log still has; None if it is empty.

        Raises:
            DatabaseUnavailable: PostgreSQL does not answer.
        """
        with self._store.single() as tx:
            return tx.streams.oldest()

    def head(self) -> int:
        """Return the largest place of the log that can be seen.

        Raises:
            DatabaseUnavailable: PostgreSQL does not answer.
        """
        with self._store.single() as tx:
            return tx.event_log.head()

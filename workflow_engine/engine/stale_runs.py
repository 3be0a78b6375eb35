"""StaleRuns: which runs stand still, and why."""

from collections.abc import Sequence
from datetime import timedelta

from workflow_engine.engine.explainer import Explainer
from workflow_engine.model.explanation import Reason
from workflow_engine.model.standstills import WARNED_AT, StaleRun
from workflow_engine.store.standstills import LOOKED, Place, Standstill, StandstillQuestion
from workflow_engine.store.transaction import Store, Transaction


class StaleRuns:
    """Finds runs of which nothing has moved for long, and says why."""

    def __init__(
        self,
        store: Store,
        explainer: Explainer,
        *,
        limit: timedelta = timedelta(hours=1),
        lease: timedelta = timedelta(seconds=15),
    ) -> None:
        """Judge runs whose workflow does not say by ``limit``; a worker lives that was heard of within ``lease``."""
        self._store = store
        self._explainer = explainer
        self._limit = limit
        self._lease = lease

    def page(self, *, namespace: str, limit: int, after: Place | None = None) -> tuple[list[StaleRun], Place | None]:
        """Return up to ``limit`` runs at 80 % of their limit or more, the oldest first, and where the next page begins.

        A page looks at 2,000 unfinished runs; it may be short, or empty, and yet be followed by another.
        """
        wanted = StandstillQuestion(limit=self._limit, lease=self._lease, part=WARNED_AT, namespace=namespace)
        with self._store.single() as tx:
            found = tx.standstills.find(wanted, limit=limit, after=after)
            return self._explained(tx, found.found), found.following

    def look(self, after: Place | None) -> tuple[list[Standstill], Place | None]:
        """Return those of the next unfinished runs that are at 80 % of their limit or more, of every namespace."""
        wanted = StandstillQuestion(limit=self._limit, lease=self._lease, part=WARNED_AT)
        with self._store.single() as tx:
            page = tx.standstills.find(wanted, limit=LOOKED, after=after)
        return list(page.found), page.following

    def explained(self, found: Sequence[Standstill]) -> list[StaleRun]:
        """Return the same with their reasons."""
        with self._store.single() as tx:
            return self._explained(tx, found)

    def _explained(self, tx: Transaction, found: Sequence[Standstill]) -> list[StaleRun]:
        reasons = self._explainer.brief(tx, [each.run_id for each in found])
        runs = []
        for each in found:
            why = reasons.get(each.run_id)
            runs.append(
                StaleRun(
                    run_id=each.run_id,
                    workflow=each.workflow,
                    version=each.version,
                    state=each.state,
                    created_at=each.created_at,
                    since=each.since,
                    stands_for=each.stands_for,
                    limit=each.limit,
                    reason=why.reason if why else Reason.UNKNOWN,
                    step=why.step if why else None,
                    sentence=why.sentence if why else "it is gone",
                )
            )
        return runs

"""WorkerLease: what a worker's main process tells the database about itself and its steps."""

import logging
from collections.abc import Callable, Sequence
from datetime import timedelta
from time import monotonic
from typing import Final

from workflow_engine.celery_app.identity import WorkerIdentity
from workflow_engine.celery_app.messages import task_id
from workflow_engine.engine.processor import Processor
from workflow_engine.model.commands import LoseStep, StepAttempt
from workflow_engine.model.workers import WorkerFacts
from workflow_engine.store.transaction import Store

logger = logging.getLogger(__name__)

_SETTLED: Final = timedelta(seconds=5)
"""A claim this old is known to the main process, whatever is still in its pipes."""


class WorkerLease:
    """One worker's lease on the steps it runs."""

    def __init__(self, store: Store, processor: Processor, identity: WorkerIdentity) -> None:
        """Beat through ``store``, which should have a connection of its own, for while every other one is busy."""
        self.identity = identity
        self.facts: Callable[[], WorkerFacts] = WorkerFacts
        """Returns what the worker serves, as it is now."""
        self._store = store
        self._processor = processor
        self._beat_at: float | None = None

    @property
    def seconds_since_beat(self) -> float | None:
        """How long ago the database last heard of this worker; None if it never has."""
        return None if self._beat_at is None else monotonic() - self._beat_at

    def beat(self) -> None:
        """Say that the worker is alive."""
        with self._store.single() as tx:
            tx.workers.beat(self.identity.id, self.identity.name, self.identity.pid, self.facts())
        self._beat_at = monotonic()

    def forget(self) -> None:
        """Say that the worker has stopped and holds nothing."""
        with self._store.single() as tx:
            tx.workers.forget(self.identity.id)
        self._store.database.close()

    def given_away(self, attempts: Sequence[StepAttempt]) -> set[StepAttempt]:
        """Return those of the attempts that run here that are no longer ours."""
        with self._store.single() as tx:
            return tx.steps.find_given_away(self.identity.id, attempts)

    def reconcile(self, at_hand: set[str]) -> None:
        """Give away attempts that the database thinks are ours and that nothing in this worker runs.

        Such a claim can be left by a connection that broke after the commit, before the answer.
        """
        with self._store.single() as tx:
            held = tx.steps.find_held(self.identity.id, _SETTLED)
        for name, attempt in held:
            if task_id(attempt.run_id, name, attempt.attempt) not in at_hand:
                logger.warning("run %s: step %s is claimed here but does not run", attempt.run_id, name)
                self._processor.execute(
                    LoseStep(
                        plan_id=attempt.plan_id,
                        run_id=attempt.run_id,
                        position=attempt.position,
                        attempt=attempt.attempt,
                        reason="claimed by a worker that does not run it",
                    )
                )

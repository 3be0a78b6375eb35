"""FallbackPoller: finds what is ready and was not told of, and has it dispatched like everything else."""

import logging
from collections.abc import Callable
from datetime import timedelta

from workflow_engine.engine.coordinator_meter import CoordinatorMeter
from workflow_engine.engine.readiness import ReadinessService
from workflow_engine.engine.service import Service
from workflow_engine.store.transaction import Store

logger = logging.getLogger(__name__)

TRIGGER = "fallback_polling"


class FallbackPoller(Service):
    """Looks now and then at the view of ready steps; of several coordinators the leader does."""

    name = "fallback poller"

    def __init__(
        self,
        store: Store,
        readiness: ReadinessService,
        *,
        every: timedelta,
        age: timedelta,
        batch: int,
        meter: CoordinatorMeter | None = None,
        room: Callable[[], int | None] = lambda: None,
    ) -> None:
        """Look ``every`` so often for up to ``batch`` steps that have been ready for ``age`` at least.

        Not while ``room`` says that none could be sent: then they are not overlooked.
        """
        super().__init__(every)
        self._store = store
        self._readiness = readiness
        self._age = min(age, every)  # else what is missed would be found only at the next look but one
        self._batch = batch
        self._meter = meter or CoordinatorMeter()
        self._room = room

    def run_once(self) -> timedelta | None:
        """Have the overlooked dispatched; come back early where something is about to count as overlooked."""
        if self._room() == 0:
            return None
        with self._store.single() as tx:
            found = tx.readiness.find_overlooked(self._age, self._batch)
            until = tx.readiness.seconds_until_overlooked(self._age) if self._age else None
        steps = sum(run.steps for run in found)
        self._meter.polled(steps)
        for run in found:
            self._readiness.ask(TRIGGER, run.run_id)
        if steps and self._age:
            logger.warning("%d step(s) were ready and nobody was told", steps)
        return None if until is None else timedelta(seconds=max(until, 0.05))

"""TimekeeperService: fires the timers that come due."""

import math
from datetime import timedelta
from typing import Final

from workflow_engine.engine.coordinator_meter import CoordinatorMeter
from workflow_engine.engine.handlers.timer import KINDS
from workflow_engine.engine.processor import Processor
from workflow_engine.engine.service import Service
from workflow_engine.model.commands import FireTimers
from workflow_engine.store.transaction import Store

BATCH: Final = 200
LONGEST_SLEEP: Final = timedelta(seconds=60)
"""Timers that are due later than two minutes from now are set without a notice: they are seen in time."""


class TimekeeperService(Service):
    """Sleeps until the next timer is due, whenever that is; a notice of an earlier one wakes it."""

    name = "timers"

    def __init__(
        self,
        store: Store,
        processor: Processor,
        *,
        longest_sleep: timedelta = LONGEST_SLEEP,
        meter: CoordinatorMeter | None = None,
    ) -> None:
        """Fire timers through ``processor``; look at least every ``longest_sleep``, for want of notices."""
        super().__init__(min(longest_sleep, LONGEST_SLEEP))
        self._store = store
        self._processor = processor
        self._meter = meter or CoordinatorMeter()
        self._next = -math.inf
        """When it will look by itself, in seconds since 1970 by PostgreSQL's clock; an earlier timer must wake it."""

    def hear(self, due_epoch: float) -> None:
        """A timer was set: wake up if it is due before the next one known."""
        if due_epoch < self._next:
            self.wake()

    def run_once(self) -> timedelta | None:
        """Fire all that are due; sleep until the next one is."""
        self._next = math.inf  # whatever is set from here on is news
        number = BATCH
        while number == BATCH:
            fired = self._processor.execute(FireTimers(limit=BATCH))
            number = len(fired)
            self._meter.fired(fired)
        with self._store.single() as tx:
            following = tx.timers.next_due(KINDS)
        if following is None:
            return None
        self._next = following.due_epoch
        return timedelta(seconds=max(following.seconds, 0.001))

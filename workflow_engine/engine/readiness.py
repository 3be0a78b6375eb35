"""ReadinessService: dispatches steps whose time has come, and expires runs whose time has run out."""

from datetime import timedelta
from typing import Final

from workflow_engine.engine.processor import Processor
from workflow_engine.engine.service import Service
from workflow_engine.model.commands import DispatchReady, ExpireRuns
from workflow_engine.store.transaction import Store

BATCH: Final = 500


class ReadinessService(Service):
    """Woken by the listener when a step becomes ready; sleeps until the next one is due."""

    name = "readiness"

    def __init__(self, store: Store, processor: Processor, *, poll_every: timedelta) -> None:
        """Look for work nobody told us about every ``poll_every``."""
        super().__init__(poll_every)
        self._store = store
        self._processor = processor

    def run_once(self) -> timedelta | None:
        """Dispatch all that is due; sleep until the next step is."""
        self._processor.execute(ExpireRuns(limit=BATCH))
        while self._processor.execute(DispatchReady(limit=BATCH)) == BATCH:
            pass
        with self._store.single() as tx:
            seconds = tx.steps.seconds_until_ready()
        # Due but not taken: its run is paused, or another coordinator has it. Look again soon, not at once.
        return None if seconds is None else timedelta(seconds=max(seconds, 0.5 if seconds <= 0 else 0))

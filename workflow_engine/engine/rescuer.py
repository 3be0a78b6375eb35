"""RescueService: takes steps back from workers that went silent."""

import logging
from datetime import timedelta
from time import monotonic
from typing import Final

from workflow_engine.engine.handlers.rescue import Rescued
from workflow_engine.engine.processor import Processor
from workflow_engine.engine.service import Service
from workflow_engine.model.commands import LoseStep, RescueSteps
from workflow_engine.store.transaction import Store

logger = logging.getLogger(__name__)

BATCH: Final = 500
_REMEMBERED: Final = timedelta(days=1)
"""How long a dead worker is listed."""
_SOON: Final = timedelta(milliseconds=5)
"""Past the end of a lease, so that it has ended when we look."""


class RescueService(Service):
    """Sleeps until a worker that is not heard of again would be silent for a whole lease; then its steps run again.

    A worker that beats moves that moment, so while all of them do there is one look a lease. One that starts meanwhile
    cannot fall silent before the next look, which is never later than a lease away.
    """

    name = "rescue"

    def __init__(self, store: Store, processor: Processor, *, lease: timedelta) -> None:
        """Give a step away when its worker was silent for ``lease``, by PostgreSQL's clock."""
        super().__init__(lease)
        self._store = store
        self._processor = processor
        self._lease = lease

    def run_once(self) -> timedelta | None:
        """Rescue what can be rescued now; sleep until more might be."""
        with self._store.single() as tx:
            asked = monotonic()
            seconds = tx.workers.seconds_until_silence(self._lease)
            tx.workers.forget_silent(_REMEMBERED)
        while self._rescue() == BATCH:
            pass
        if seconds is None:
            return None
        # Asked before the look: who fell silent in between is due at once, not a lease later.
        return max(timedelta(seconds=seconds - (monotonic() - asked)), timedelta(0)) + _SOON

    def _rescue(self) -> int:
        rescued: Rescued = self._processor.execute(RescueSteps(lease=self._lease, limit=BATCH))
        if rescued.number:
            logger.warning("%d step(s) were held by workers that are gone", rescued.number)
        for attempt in rescued.left:
            self._processor.execute(
                LoseStep(
                    plan_id=attempt.plan_id,
                    run_id=attempt.run_id,
                    position=attempt.position,
                    attempt=attempt.attempt,
                    reason=rescued.reason,
                )
            )
        return rescued.number

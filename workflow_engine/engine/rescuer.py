"""RescueService: takes steps back from workers that went silent, and sends messages again that are gone."""

import logging
from datetime import timedelta
from typing import Final

from workflow_engine.engine.dispatcher import Dispatch, Dispatcher
from workflow_engine.engine.plan_cache import dispatches
from workflow_engine.engine.processor import Processor
from workflow_engine.engine.service import Service
from workflow_engine.model.commands import LoseStep, StepAttempt
from workflow_engine.store.steps import DueStep
from workflow_engine.store.transaction import Store

logger = logging.getLogger(__name__)

BATCH: Final = 500


class RescueService(Service):
    """Nothing is lost: what a dead worker held, and what a flushed broker forgot, runs again."""

    name = "rescue"

    def __init__(
        self,
        store: Store,
        processor: Processor,
        dispatcher: Dispatcher,
        *,
        lease: timedelta,
        stranded_after: timedelta,
    ) -> None:
        """Give a step away when its worker was silent for ``lease``; ask about a message after ``stranded_after``."""
        super().__init__(min(lease, stranded_after) / 3)
        self._store = store
        self._processor = processor
        self._dispatcher = dispatcher
        self._lease = lease
        self._stranded_after = stranded_after
        self.resent = 0
        """Steps sent again, by this process."""

    def run_once(self) -> timedelta | None:
        """Rescue what can be rescued now."""
        self._rescue_lost()
        self._resend_stranded()
        return None

    def _rescue_lost(self) -> None:
        with self._store.single() as tx:
            lost = tx.steps.find_lost(self._lease, BATCH)
        for attempt in lost:
            logger.warning("run %s: the worker of step %d is gone", attempt.run_id, attempt.position)
            self._processor.execute(_lose(attempt, "its worker has not been heard of for a whole lease"))

    def _resend_stranded(self) -> None:
        """Send again what waits for a worker while its queue is empty: its message is gone.

        A queue that is not empty is merely behind: nothing is sent twice because of a long backlog.
        """
        with self._store.single() as tx:
            stranded = tx.steps.find_stranded(self._stranded_after, BATCH)
        idle = {queue: self._dispatcher.is_idle(queue) for queue in {step.queue for step in stranded}}
        again = [step for step in stranded if idle[step.queue]]
        if not again:
            return
        logger.warning("%d step(s) were dispatched but their messages are gone; sending again", len(again))
        with self._store.single() as tx:
            tx.steps.touch_stranded(again)
        self._processor.send([self._dispatch(step) for step in again])
        self.resent += len(again)

    def _dispatch(self, step: DueStep) -> Dispatch:
        plan = self._processor.plan(step.plan_id)
        attempts = [(step.position, step.attempt)]
        return dispatches(plan, step.plan_id, step.run_id, attempts, step.priority, step.traceparent)[0]


def _lose(attempt: StepAttempt, reason: str) -> LoseStep:
    return LoseStep(
        plan_id=attempt.plan_id,
        run_id=attempt.run_id,
        position=attempt.position,
        attempt=attempt.attempt,
        reason=reason,
    )

"""ResendService: sends messages again that the broker has lost."""

import logging
from datetime import timedelta
from typing import Final

from workflow_engine.engine.dispatcher import Dispatch, Dispatcher
from workflow_engine.engine.plan_cache import dispatches
from workflow_engine.engine.processor import Processor
from workflow_engine.engine.service import Service
from workflow_engine.store.steps import DueStep
from workflow_engine.store.transaction import Store

logger = logging.getLogger(__name__)

BATCH: Final = 500


class ResendService(Service):
    """What a flushed broker forgot runs all the same."""

    name = "resend"

    def __init__(
        self, store: Store, processor: Processor, dispatcher: Dispatcher, *, stranded_after: timedelta
    ) -> None:
        """Ask about a message when its step was not claimed for ``stranded_after``."""
        super().__init__(stranded_after / 3)
        self._store = store
        self._processor = processor
        self._dispatcher = dispatcher
        self._stranded_after = stranded_after
        self.resent = 0
        """Steps sent again, by this process."""

    def run_once(self) -> timedelta | None:
        """Send again what waits for a worker while its queue is empty: its message is gone.

        A queue that is not empty is merely behind: nothing is sent twice because of a long backlog.
        """
        with self._store.single() as tx:
            stranded = tx.steps.find_stranded(self._stranded_after, BATCH)
        idle = {queue: self._dispatcher.is_idle(queue) for queue in {step.queue for step in stranded}}
        again = [step for step in stranded if idle[step.queue]]
        if not again:
            return None
        logger.warning("%d step(s) were dispatched but their messages are gone; sending again", len(again))
        with self._store.single() as tx:
            tx.steps.touch_stranded(again)
        self._processor.send([self._dispatch(step) for step in again])
        self.resent += len(again)
        return None

    def _dispatch(self, step: DueStep) -> Dispatch:
        plan = self._processor.plan(step.plan_id)
        attempts = [(step.position, step.attempt)]
        return dispatches(plan, step.plan_id, step.run_id, attempts, step.priority, step.traceparent)[0]

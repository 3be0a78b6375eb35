"""ResendService: sends messages again that the broker has lost."""

import logging
from datetime import timedelta
from typing import Final

from workflow_engine.engine.dispatcher import Dispatch, Dispatcher
from workflow_engine.engine.plan_cache import dispatches
from workflow_engine.engine.processor import Processor
from workflow_engine.engine.service import Service
from workflow_engine.store.steps import DueStep, WaitingQueue
from workflow_engine.store.transaction import Store

logger = logging.getLogger(__name__)

BATCH: Final = 500


class ResendService(Service):
    """What the broker forgot runs all the same.

    A message is taken for lost if no worker claimed its step for a while and its queue is empty, or steps that were
    sent to the same queue much later were claimed: a queue would have delivered it before. Each resend doubles the time
    until the next. A step whose message was not lost is claimed once all the same.
    """

    name = "resend"

    def __init__(
        self, store: Store, processor: Processor, dispatcher: Dispatcher, *, stranded_after: timedelta
    ) -> None:
        """Ask about a message when its step was not claimed for ``stranded_after``."""
        super().__init__(stranded_after)
        self._store = store
        self._processor = processor
        self._dispatcher = dispatcher
        self._stranded_after = stranded_after
        self.resent = 0
        """Steps sent again, by this process."""

    def run_once(self) -> timedelta | None:
        """Send again what is lost; sleep until the next step has waited for long."""
        with self._store.single() as tx:
            queues = tx.steps.waiting_queues(self._stranded_after)
        doubtful = [queue for queue in queues if queue.is_doubtful]
        if doubtful:
            self._resend(doubtful)
        until = [queue.seconds for queue in queues if queue.seconds is not None]
        # Not at once for each of many that were sent one after the other.
        return max(timedelta(seconds=min(until)), self._stranded_after / 10) if until else None

    def _resend(self, queues: list[WaitingQueue]) -> None:
        idle = [queue.name for queue in queues if self._dispatcher.is_idle(queue.name)]
        while self._resend_some(idle) == BATCH:
            pass  # those that were idle: what we have just sent is no backlog

    def _resend_some(self, idle: list[str | None]) -> int:
        with self._store.single() as tx:
            stranded = tx.steps.resend(self._stranded_after, idle, BATCH)
        if stranded:
            logger.warning("%d step(s) were dispatched but their messages are gone; sending again", len(stranded))
            self._processor.send([self._dispatch(step) for step in stranded])
            self.resent += len(stranded)
        return len(stranded)

    def _dispatch(self, step: DueStep) -> Dispatch:
        plan = self._processor.plan(step.plan_id)
        attempts = [(step.position, step.attempt)]
        return dispatches(plan, step.plan_id, step.run_id, attempts, step.priority, step.traceparent)[0]

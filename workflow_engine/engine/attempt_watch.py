"""AttemptWatch: the moments by which a running attempt must have shown a sign of life, or ended."""

import logging
from collections.abc import Mapping
from time import monotonic

from workflow_engine.engine.processor import Processor
from workflow_engine.errors import DatabaseUnavailable
from workflow_engine.model.commands import StepAttempt
from workflow_engine.model.timers import TimerKind
from workflow_engine.plan.plan import PlannedStep
from workflow_engine.store.transaction import Store

logger = logging.getLogger(__name__)


class AttemptWatch:
    """The timers of one attempt, kept by the process that runs it: none unless its step asks for them."""

    def __init__(
        self, store: Store, processor: Processor, attempt: StepAttempt, step: PlannedStep, *, timeout: bool
    ) -> None:
        """Watch for ``step.heartbeat_timeout``; with ``timeout``, where nothing else does, for ``step.timeout`` too."""
        self._store = store
        self._processor = processor
        self._attempt = attempt
        self._silence = step.heartbeat_timeout
        wanted = {
            TimerKind.HEARTBEAT: step.heartbeat_timeout,
            TimerKind.STEP_TIMEOUT: step.timeout if timeout else None,
        }
        self._wanted = {kind: seconds for kind, seconds in wanted.items() if seconds is not None}
        self._moved_at = monotonic()

    def begin(self) -> None:
        """Set the timers; the attempt was just claimed."""
        self._set(self._wanted)

    def is_current(self) -> bool:
        """Show a sign of life, and return whether the attempt may go on."""
        if self._silence is not None and monotonic() - self._moved_at >= self._silence / 3:
            return self._move(self._silence)
        return self._processor.is_current(self._attempt)

    def end(self) -> None:
        """Remove the timers; the attempt has ended. One that is left, because PostgreSQL is away, changes nothing."""
        if self._wanted:
            try:
                with self._store.single() as tx:
                    tx.timers.drop_attempt(self._attempt, list(self._wanted))
            except DatabaseUnavailable as error:
                logger.warning("the timers of an attempt that has ended stay: %s", error)

    def _move(self, silence: float) -> bool:
        with self._store.single() as tx:
            moved = tx.timers.move_attempt(self._attempt, TimerKind.HEARTBEAT, silence)
        self._moved_at = monotonic()
        current = self._processor.is_current(self._attempt)
        if current and not moved:  # a crash of PostgreSQL has lost the timer, not the claim
            self._set({TimerKind.HEARTBEAT: silence})
        return current

    def _set(self, timers: Mapping[TimerKind, float]) -> None:
        if timers:
            with self._store.single() as tx:
                tx.timers.set_attempt(self._attempt, timers)

"""Delivery: the thread of one durable subscriber, which delivers whenever this process holds its cursor."""

import logging
from collections.abc import Callable
from threading import Condition, Thread
from typing import Final

from workflow_engine.errors import DatabaseUnavailable
from workflow_engine.relay.calls import Call, Caller
from workflow_engine.relay.hold import Hold
from workflow_engine.relay.registry import Subscription
from workflow_engine.relay.turn import Numbers, Turn

logger = logging.getLogger(__name__)

_TRY_AGAIN_SECONDS: Final = 5.0
"""After ``opened`` raised, or an error of ours."""


class Delivery:
    """Waits for a hold, delivers while it is good, waits for the next one.

    A call that is under way when the hold is lost comes to its end before another hold is looked at, so the subscriber
    never gets two calls at once from this process, save those that were left behind.
    """

    def __init__(self, subscription: Subscription, *, lost: Callable[[], None]) -> None:
        """Deliver to a subscriber; call ``lost`` when a hold ends without having been asked for."""
        self.subscription = subscription
        self.numbers = Numbers()
        self.hold: Hold | None = None
        """The present one, even if the thread has not come to it yet."""
        self._lost = lost
        self._caller = Caller(subscription.name, subscription.subscriber.timeout)
        self._changed = Condition()
        self._stopping = False
        self._opened = False
        self._thread = Thread(target=self._run, name=f"wfe-relay-{subscription.name}", daemon=True)

    @property
    def name(self) -> str:
        """The subscriber's name."""
        return self.subscription.name

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def assign(self, hold: Hold) -> None:
        """Deliver under this hold from now on."""
        with self._changed:
            if self.hold is not None:
                self.hold.lose()
            self.hold = hold
            self._changed.notify_all()

    def stop(self) -> None:
        """End after the call at hand."""
        with self._changed:
            self._stopping = True
            if self.hold is not None:
                self.hold.tail.nudge()
            self._changed.notify_all()

    def join(self, seconds: float) -> bool:
        """Wait for the end; False if a call takes longer."""
        self._thread.join(seconds)
        return not self._thread.is_alive()

    def _run(self) -> None:
        while (hold := self._wait_for_hold()) is not None:
            if not self._deliver(hold):
                self._pause()
            self._drop(hold)
        if self._opened:
            self._caller.each(lambda close: close(), [Call(argument=self.subscription.subscriber.closed)])
        self._caller.stop()

    def _wait_for_hold(self) -> Hold | None:
        with self._changed:
            self._changed.wait_for(lambda: self.hold is not None or self._stopping)
            return None if self._stopping else self.hold

    def _deliver(self, hold: Hold) -> bool:
        if not hold.is_good():
            return True
        try:
            if not self._open():
                return False
            Turn(hold, self.subscription, self._caller, self.numbers, stopping=lambda: self._stopping).run()
        except DatabaseUnavailable as error:
            logger.debug("subscriber %s waits for the database: %s", self.name, error)
        except Exception:
            logger.exception("delivering to subscriber %s failed; it begins anew", self.name)
            return False
        return True

    def _open(self) -> bool:
        if self._opened:
            return True
        answer = self._caller.each(lambda opened: opened(), [Call(argument=self.subscription.subscriber.opened)])
        for error in answer.failures.values():
            logger.error("subscriber %s cannot open: %s: %s", self.name, error.error_class, error.message)
        self._opened = bool(answer.reached) and not answer.failures
        return self._opened

    def _pause(self) -> None:
        with self._changed:
            self._changed.wait_for(lambda: self._stopping, timeout=_TRY_AGAIN_SECONDS)

    def _drop(self, hold: Hold) -> None:
        hold.lose()
        with self._changed:
            if self.hold is hold:
                self.hold = None
        if not self._stopping:
            self._lost()

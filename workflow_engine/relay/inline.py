"""InlineDelivery: events to inline subscribers, in the process that published them and right after the commit."""

import logging
import os
import weakref
from collections.abc import Callable, Sequence
from functools import partial
from threading import RLock

from workflow_engine.model.records import EventRecord
from workflow_engine.relay.registry import Subscription

logger = logging.getLogger(__name__)


class InlineDelivery:
    """Calls inline subscribers; what they raise is logged and counted, and goes no further.

    It is false where there is no subscriber, so that nobody makes records of events for nobody.
    """

    def __init__(self, subscriptions: Sequence[Subscription]) -> None:
        """Deliver to these."""
        self._subscriptions = tuple(subscriptions)
        self.names = frozenset[str]().union(*(each.names for each in self._subscriptions))
        """The events that somebody wants."""
        self.failures = 0
        """How often a subscriber has raised in this process."""
        self._opened: set[str] = set()
        self._lock = RLock()
        if self._subscriptions:
            os.register_at_fork(after_in_child=partial(_forget_parent, weakref.ref(self)))

    def __bool__(self) -> bool:
        return bool(self._subscriptions)

    def __call__(self, events: Sequence[EventRecord]) -> None:
        """Give each subscriber the events it wants, in their order. Never raises."""
        for subscription in self._subscriptions:
            wanted = [event for event in events if subscription.wants(event)]
            if wanted and self._is_open(subscription):
                self._deliver(subscription, wanted)

    def close(self) -> None:
        """Tell the subscribers that were opened in this process that no event follows."""
        with self._lock:
            opened = [each for each in self._subscriptions if each.name in self._opened]
            self._opened.clear()
        for subscription in opened:
            self._try(subscription, "closing it", subscription.subscriber.closed)

    def forget(self) -> None:
        """Forget what was opened: a forked process has neither the threads nor may it use the connections."""
        self._opened, self._lock = set(), RLock()

    def _is_open(self, subscription: Subscription) -> bool:
        """Open a subscriber before its first event; where that fails, it is tried again with the next events."""
        if subscription.name in self._opened:
            return True
        with self._lock:
            if subscription.name not in self._opened:
                if not self._try(subscription, "opening it", subscription.subscriber.opened):
                    return False
                self._opened.add(subscription.name)
        return True

    def _deliver(self, subscription: Subscription, events: Sequence[EventRecord]) -> None:
        subscriber = subscription.subscriber
        if subscriber.takes_batches:
            names = ", ".join(dict.fromkeys(event.name for event in events))
            self._try(subscription, names, partial(subscriber.on_batch, events))
            return
        for event in events:
            about = f"{event.name} of run {event.run_id}" if event.run_id else event.name
            self._try(subscription, about, partial(subscriber.handle, event))

    def _try(self, subscription: Subscription, doing: str, action: Callable[[], None]) -> bool:
        try:
            action()
        except Exception:
            with self._lock:
                self.failures += 1
            logger.exception("inline subscriber %s failed: %s", subscription.name, doing)
            return False
        return True


def _forget_parent(delivery: "weakref.ref[InlineDelivery]") -> None:
    if (alive := delivery()) is not None:
        alive.forget()

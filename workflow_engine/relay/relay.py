"""Relay: delivers the event log to durable subscribers, in this process and beside others of its kind."""

import logging
import os
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from threading import Event as Flag
from time import monotonic
from typing import Final
from uuid import uuid4

from workflow_engine.engine.service import Service
from workflow_engine.errors import DatabaseUnavailable
from workflow_engine.relay.delivery import Delivery
from workflow_engine.relay.hold import Hold
from workflow_engine.relay.registry import Subscription
from workflow_engine.relay.session import Session
from workflow_engine.relay.sharing import by_preference, fair_share, surplus
from workflow_engine.relay.tail import Tail
from workflow_engine.store.cursors import CursorRecord, HeldCursor
from workflow_engine.store.transaction import Store

logger = logging.getLogger(__name__)

_BEATS: Final = 3
"""Heartbeats in a lease: two may be late."""
_GRACE_SECONDS: Final = 8.0
"""How long the calls at hand may take when the relay stops."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SubscriberNumbers:
    """Where a subscriber stands."""

    name: str
    is_held: bool
    """Whether this process delivers to it."""
    lag: int
    """Places of the log before it."""
    lag_seconds: float
    """Age of the first event before it; 0 if there is none."""
    delivered: int
    """Events that it took from this process, since its start."""
    failed: int
    """Calls that raised or took too long, in this process."""
    parked: int
    dead_letters: int
    is_resting: bool


class Relay(Service):
    """Holds its share of the cursors, and delivers to each of their subscribers in a thread of its own."""

    name = "relay"

    def __init__(
        self, store: Store, subscriptions: Sequence[Subscription], *, lease: timedelta, poll_seconds: float
    ) -> None:
        """Deliver to ``subscriptions``; another relay takes over what was not renewed for a ``lease``.

        Args:
            store: its connections; one is held all the time.
            subscriptions: the durable ones that this process could deliver to.
            lease: how long this process may be silent.
            poll_seconds: how often to look for events nobody told of.
        """
        super().__init__(timedelta(seconds=1))  # after a lost connection
        self.id = str(uuid4())
        self._store = store
        self._lease = lease
        self._poll_seconds = poll_seconds
        self._deliveries = {each.name: Delivery(each, lost=self._look) for each in subscriptions}
        self._tail: Tail | None = None
        self._nudge = Flag()
        self._started = False
        self._last_page: Sequence[CursorRecord] = ()

    def wake(self) -> None:
        """Say that there are events; it shortens no pause after a lost connection."""
        if (tail := self._tail) is not None:
            tail.ring()

    def stop(self) -> None:
        """End after the calls at hand, and let other relays have the cursors."""
        self._stopping = True
        self._nudge.set()
        super().stop()

    def run(self) -> None:
        """Deliver until ``stop``; then let the subscribers close."""
        super().run()
        self._stop_deliveries()  # also where the connection was lost at the end

    def run_once(self) -> timedelta | None:
        """Deliver until the relay stops or its connection breaks."""
        if not self._started:
            self._started = True
            if not self._deliveries:
                logger.warning("there is no durable subscriber; name some in WFE_SUBSCRIBERS or the subscribers file")
            for delivery in self._deliveries.values():
                delivery.start()
        with self._store.single() as tx:
            session = Session(tx)
            try:
                self._serve(session)
            finally:
                if self._stopping:
                    self._stop_deliveries()
                    self._release_all(session)
                session.end()
                self._close_tail()
        return None

    def snapshot(self) -> list[SubscriberNumbers]:
        """Return where every subscriber stands; as last known, while the database does not answer."""
        try:
            with self._store.single() as tx:
                self._last_page = tx.cursors.page()
        except DatabaseUnavailable as error:
            logger.debug("no fresh numbers: %s", error)
        return [self._numbers(record) for record in self._last_page if record.subscriber in self._deliveries]

    def _serve(self, session: Session) -> None:
        starts = {
            name: delivery.subscription.subscriber.start == "beginning" for name, delivery in self._deliveries.items()
        }
        with session.single() as tx:
            tx.cursors.register(starts)
        while not session.is_over:
            self._nudge.clear()
            if self._stopping:  # asked after the clearing: a stop during it is not missed
                return
            self._beat(session)
            if self._tail is not None and self._tail.is_closed:
                raise DatabaseUnavailable("the log cannot be read")
            self._nudge.wait(self._lease.total_seconds() / _BEATS)

    def _beat(self, session: Session) -> None:
        """Say that we live, renew what we hold, give back what is too much, take what is free."""
        until = monotonic() + self._lease.total_seconds()
        names = list(self._deliveries)
        with session.single() as tx:
            tx.cursors.beat(self.id, _own_name(), names)
            renewed = {cursor.key.subscriber: cursor for cursor in tx.cursors.renew(self.id, self._lease)}
            relays = tx.cursors.count_relays(names, self._lease)
        fresh = self._keep(renewed, session, until)
        for name in surplus(renewed.keys() & self._deliveries.keys(), relays):
            self._give_back(name)
        room = fair_share(relays) - len(renewed)
        free = [name for name in by_preference(relays) if name not in renewed]
        if room > 0 and free:
            with session.single() as tx:
                fresh += tx.cursors.take(self.id, free, limit=room, lease=self._lease)
        for cursor in sorted(fresh, key=lambda each: each.position, reverse=True):
            self._assign(cursor, session, until)

    def _keep(self, renewed: dict[str, HeldCursor], session: Session, until: float) -> list[HeldCursor]:
        """Extend the holds that are as they were; return the cursors that need new ones."""
        fresh = []
        for name, delivery in self._deliveries.items():
            cursor, hold = renewed.get(name), delivery.hold
            if cursor is None:
                if hold is not None:
                    hold.lose()
            elif hold is not None and hold.session is session and hold.key == cursor.key:
                hold.extend(until)
            else:  # set by a person, or dropped after an error
                fresh.append(cursor)
        return fresh

    def _assign(self, cursor: HeldCursor, session: Session, until: float) -> None:
        if self._tail is None:
            self._tail = Tail(session, cursor.position, poll_seconds=self._poll_seconds)
            self._tail.start()
        self._tail.begin_at(cursor.position)
        logger.info("delivering to %s from position %d", cursor.key.subscriber, cursor.position)
        self._deliveries[cursor.key.subscriber].assign(Hold(cursor, session, self._tail, until=until))

    def _give_back(self, name: str) -> None:
        hold = self._deliveries[name].hold
        if hold is not None and not hold.is_wanted_back.is_set():
            logger.info("giving %s back: other relays are there to deliver to it", name)
            hold.want_back()

    def _stop_deliveries(self) -> None:
        if not self._started:
            return
        for delivery in self._deliveries.values():
            delivery.stop()
        until = monotonic() + _GRACE_SECONDS
        late = [each.name for each in self._deliveries.values() if not each.join(max(until - monotonic(), 0.0))]
        if late:
            logger.warning("calls of %s took too long to wait for; their events come again", ", ".join(late))

    def _release_all(self, session: Session) -> None:
        if not session.is_over:
            with session.single() as tx:
                tx.cursors.forget_relay(self.id)

    def _close_tail(self) -> None:
        if self._tail is not None:
            self._tail.close()
            self._tail = None

    def _look(self) -> None:
        self._nudge.set()

    def _numbers(self, record: CursorRecord) -> SubscriberNumbers:
        delivery = self._deliveries[record.subscriber]
        waited = (datetime.now(UTC) - record.waiting_since).total_seconds() if record.waiting_since else 0.0
        return SubscriberNumbers(
            name=record.subscriber,
            is_held=delivery.hold is not None and delivery.hold.is_good(),
            lag=record.lag,
            lag_seconds=max(waited, 0.0),
            delivered=delivery.numbers.delivered,
            failed=delivery.numbers.failed,
            parked=record.parked,
            dead_letters=record.dead,
            is_resting=record.resting_since is not None,
        )


def _own_name() -> str:
    return f"{os.getpid()}@{socket.gethostname()}"

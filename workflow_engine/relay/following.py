"""Following: the event log as it grows, in order and past no gap into which an event may yet come."""

from collections.abc import Iterator, Sequence
from threading import Event as Flag
from time import monotonic
from typing import Final

from workflow_engine.model.horizon import Horizon
from workflow_engine.model.records import EventRecord
from workflow_engine.relay.order import place_of
from workflow_engine.relay.session import Session
from workflow_engine.relay.tail import FIRST_LOOK, Backoff, Tail
from workflow_engine.store.channels import Subscription

BREATH: Final = 0.02
"""Seconds from one read to the next: one that waits for more transactions costs hardly more than one that does not."""
_STOP_LOOK: Final = 0.5


def settled_head(session: Session, bell: Subscription) -> int:
    """Return the newest place of the log up to which no event can come any more."""
    head, horizon = session.head(), Horizon()
    while True:
        horizon.observe(head, session.writers())
        if horizon.settled >= head:
            return head
        bell.wait(FIRST_LOOK)


def onward(
    session: Session, bell: Subscription, position: int, *, poll_seconds: float, stop: Flag
) -> Iterator[Sequence[EventRecord]]:
    """Yield what comes after ``position``, page by page as the bell rings, until ``stop``.

    Raises:
        DatabaseUnavailable: PostgreSQL does not answer any more.
    """
    tail, backoff = Tail(session, position, poll_seconds=poll_seconds), Backoff()
    while not stop.is_set():
        look = tail.look(position)
        if look.events:
            position = place_of(look.events[-1])
            yield look.events
        _listen(bell, backoff.next(look, poll_seconds), stop)


def _listen(bell: Subscription, seconds: float, stop: Flag) -> None:
    """Wait for the bell, so many seconds at most, and never too short."""
    until = monotonic() + seconds
    stop.wait(min(seconds, BREATH))
    while not stop.is_set() and (left := until - monotonic()) > 0:
        if bell.wait(min(left, _STOP_LOOK)):
            return

"""Hold: the right to deliver to one subscriber, for as long as its lease is renewed."""

from threading import Event as Flag
from time import monotonic

from workflow_engine.relay.session import Session
from workflow_engine.relay.tail import Tail
from workflow_engine.store.cursors import HeldCursor


class Hold:
    """A cursor that this process holds."""

    def __init__(self, cursor: HeldCursor, session: Session, tail: Tail, *, until: float) -> None:
        """Hold a cursor ``until`` a moment of the monotonic clock, measured before the lease was asked for."""
        self.key = cursor.key
        self.position = cursor.position
        self.session = session
        self.tail = tail
        self.is_wanted_back = Flag()
        """Set: deliver what is at hand, then let another relay have it."""
        self._until = until
        self._is_lost = False

    def is_good(self) -> bool:
        """Return whether it is certain that nobody else delivers, and the log can be read."""
        gone = self._is_lost or self.session.is_over or self.tail.is_closed
        return not gone and monotonic() < self._until

    def extend(self, until: float) -> None:
        """Go on: the lease was renewed."""
        self._until = until

    def lose(self) -> None:
        """Stop: the cursor is another's, or was set by a person."""
        self._is_lost = True
        self.tail.nudge()

    def want_back(self) -> None:
        """Ask for it, between two batches."""
        self.is_wanted_back.set()
        self.tail.nudge()

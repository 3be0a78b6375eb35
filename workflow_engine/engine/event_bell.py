"""EventBell: tells the relays, outside the transactions that count, that there are events."""

import logging
import os
from datetime import timedelta
from threading import Condition, Thread

from workflow_engine.errors import DatabaseUnavailable
from workflow_engine.store.channels import EVENTS, Notifier
from workflow_engine.store.database import Database

logger = logging.getLogger(__name__)


class EventBell:
    """Notifies from a thread of its own, at most once in a given time: the first event of a while is told at once.

    NOTIFY inside the hot transactions would serialise their commits (PostgreSQL takes a lock of the whole database for
    it). A notification that is lost with its process costs the relay's poll interval, no event.
    """

    def __init__(self, database: Database, *, every: timedelta) -> None:
        """Notify at most ``every`` so often; nothing is started before the first event."""
        self._database = database
        self._pause = every.total_seconds()
        self._pid = 0
        self._rung = False
        self._closed = False
        self._changed = Condition()

    def ring(self) -> None:
        """There are events: returns at once."""
        if self._rung and self._pid == os.getpid():
            return  # whoever is about to notify does it for us too
        if self._pid != os.getpid():
            self._start()
        with self._changed:
            self._rung = True
            self._changed.notify()

    def close(self) -> None:
        """Notify what is left to be told, and end the thread."""
        if self._pid != os.getpid():
            return
        with self._changed:
            self._closed = True
            self._changed.notify()
        self._thread.join(timeout=5)
        self._pid = 0

    def _start(self) -> None:
        # Also after a fork: the child has the parent's fields and none of its threads.
        self._changed = Condition()
        self._rung = self._closed = False
        self._pid = os.getpid()
        self._thread = Thread(target=self._run, name="wfe-event-bell", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        # A connection of its own: it must not wait for, nor take one from, the steps of this process.
        notifier = Notifier(self._database, EVENTS)
        while self._next():
            try:
                notifier.notify()
            except DatabaseUnavailable as error:
                logger.debug("the relay was not told of events: %s", error)  # it looks by itself now and then
            with self._changed:
                self._changed.wait_for(lambda: self._closed, timeout=self._pause)
        notifier.close()

    def _next(self) -> bool:
        """Wait until somebody has rung; False if nobody will any more."""
        with self._changed:
            self._changed.wait_for(lambda: self._rung or self._closed)
            rung, self._rung = self._rung, False
            return rung

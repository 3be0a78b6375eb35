"""EventBell: tells the relays, outside the transactions that count, that there are events."""

import os
import weakref
from datetime import timedelta
from functools import partial
from threading import Condition, Thread
from typing import Final

from workflow_engine.engine.circuit_breaker import CircuitBreaker, CircuitState
from workflow_engine.errors import DatabaseUnavailable
from workflow_engine.store.channels import EVENTS, Notifier
from workflow_engine.store.database import Database

BELL: Final = "event_bell"
"""The circuit's name."""


class EventBell:
    """Notifies from a thread of its own, at most once in a given time: the first event of a while is told at once.

    NOTIFY inside the hot transactions would serialise their commits (PostgreSQL takes a lock of the whole database for
    it). A notification that is lost with its process costs the relay's poll interval, no event. Behind a circuit: while
    PostgreSQL does not answer, it is asked now and then only, and told in the end.
    """

    def __init__(self, database: Database, *, every: timedelta, circuit: CircuitBreaker | None = None) -> None:
        """Notify at most ``every`` so often; nothing is started before the first event."""
        self._database = database
        self.circuit = circuit or CircuitBreaker(BELL)
        self._pause = every.total_seconds()
        self._changed = Condition()
        self._rung = self._closed = False
        self._thread: Thread | None = None
        os.register_at_fork(after_in_child=partial(_forget_parent, weakref.ref(self)))

    def ring(self) -> None:
        """There are events: returns at once."""
        if self._rung:
            return  # whoever is about to notify does it for us too
        with self._changed:
            if self._thread is None:
                self._closed = False
                self._thread = Thread(target=self._run, name="wfe-event-bell", daemon=True)
                self._thread.start()
            self._rung = True
            self._changed.notify()

    def close(self) -> None:
        """Notify what is left to be told, and end the thread."""
        with self._changed:
            thread, self._closed = self._thread, True
            self._changed.notify()
        if thread is not None:
            thread.join(timeout=5)
        with self._changed:
            self._rung, self._thread = False, None  # whoever rings from now on starts another one

    def forget(self) -> None:
        """Begin without a thread: a forked process has the parent's fields, a lock that may be held, and no thread."""
        self._changed = Condition()
        self._rung = self._closed = False
        self._thread = None

    def _run(self) -> None:
        # A connection of its own: it must not wait for, nor take one from, the steps of this process.
        notifier = Notifier(self._database, EVENTS)
        while self._next():
            pause = self._notify(notifier)
            with self._changed:
                self._changed.wait_for(lambda: self._closed, timeout=pause)
        notifier.close()

    def _notify(self, notifier: Notifier) -> float:
        """Notify, if the circuit lets us; return for how many seconds there is nothing to do."""
        if self.circuit.admit():
            try:
                notifier.notify()
            except DatabaseUnavailable as error:
                self.circuit.failed(str(error))
            else:
                self.circuit.succeeded()
                return self._pause
        self._rung = True  # the relay is still to be told
        return max(self._pause, self.circuit.wait().total_seconds())

    def _next(self) -> bool:
        """Wait until somebody has rung; False if nobody will any more."""
        with self._changed:
            self._changed.wait_for(lambda: self._rung or self._closed)
            rung, self._rung = self._rung, False
            return rung and not (self._closed and self.circuit.state is CircuitState.OPEN)


def _forget_parent(bell: "weakref.ref[EventBell]") -> None:
    if (alive := bell()) is not None:
        alive.forget()

"""Service: a loop that works, then sleeps until woken or due."""

import logging
from abc import ABC, abstractmethod
from collections.abc import Callable
from datetime import timedelta
from threading import Event as Flag
from threading import Thread
from typing import Final

from workflow_engine.errors import WorkflowEngineError

logger = logging.getLogger(__name__)

AFTER_FAILURE: Final = timedelta(seconds=1)
"""When to try again what has failed, unless the service works more often than that."""


class Service(ABC):
    """A background loop: work once, then sleep until woken or due."""

    name: str

    def __init__(self, interval: timedelta) -> None:
        """Work at least every ``interval``."""
        self._interval = interval
        self._wake = Flag()
        self._stopping = False
        self._thread: Thread | None = None
        self._may_work: Callable[[], bool] | None = None

    def only_while(self, may_work: Callable[[], bool]) -> None:
        """Work only while ``may_work`` says so; whoever makes it say so wakes the service."""
        self._may_work = may_work

    @abstractmethod
    def run_once(self) -> timedelta | None:
        """Do what is due; return how long to sleep at most, or None for the usual interval."""

    def start(self) -> None:
        """Run the loop in a thread of its own."""
        self._thread = Thread(target=self.run, name=f"wfe-{self.name}", daemon=True)
        self._thread.start()

    def run(self) -> None:
        """Run the loop until ``stop``."""
        while not self._stopping:
            self._wake.clear()  # before the work: a wake-up during it is kept
            pause = self._run_guarded()
            self._wake.wait(min(pause or self._interval, self._interval).total_seconds())

    def wake(self) -> None:
        """Work now, or once more if it is at work."""
        self._wake.set()

    def stop(self) -> None:
        """End the loop after the work at hand."""
        self._stopping = True
        self._wake.set()
        if self._thread is not None:
            self._thread.join(timeout=10)

    def _run_guarded(self) -> timedelta | None:
        if self._may_work is not None and not self._may_work():
            return None
        try:
            return self.run_once()
        except WorkflowEngineError as error:
            logger.warning("%s: %s", self.name, error)
        except Exception:
            logger.exception("%s failed; it goes on", self.name)
        return AFTER_FAILURE

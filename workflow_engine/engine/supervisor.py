"""Supervisor: starts and stops a set of services as one."""

import logging
from collections.abc import Sequence
from threading import Event as Flag
from typing import Final

from workflow_engine.engine.service import Service

logger = logging.getLogger(__name__)

_SIGNAL_CHECK: Final = 0.5
"""Seconds."""


class Supervisor:
    """The services of one process."""

    def __init__(self, services: Sequence[Service]) -> None:
        """Take the services in the order they are to start."""
        self._services = services
        self._stop = Flag()

    def run(self) -> None:
        """Run the services until ``stop``; stop them in reverse order."""
        for service in self._services:
            service.start()
        logger.info("running: %s", ", ".join(service.name for service in self._services))
        # In short waits: a signal that comes just before the main thread begins to wait is handled when it wakes.
        while not self._stop.wait(_SIGNAL_CHECK):
            pass
        for service in reversed(self._services):
            service.stop()

    def stop(self) -> None:
        """Make ``run`` come to its end."""
        self._stop.set()

"""ListenerService: turns a NOTIFY into a wake-up; reconnects."""

from collections.abc import Sequence
from datetime import timedelta

from workflow_engine.engine.service import Service
from workflow_engine.store.channels import READY, Subscription
from workflow_engine.store.database import Database


class ListenerService(Service):
    """Holds one connection that listens, and wakes services when something is notified."""

    name = "listener"

    def __init__(self, database: Database, wakes: Sequence[Service], *, channel: str = READY) -> None:
        """Wake ``wakes`` when ``channel`` is notified; after a broken connection, try again every second."""
        super().__init__(timedelta(seconds=1))
        self._database = database
        self._wakes = wakes
        self._channel = channel

    def run_once(self) -> timedelta | None:
        """Listen until the connection breaks or the service stops."""
        with Subscription(self._database, self._channel) as subscription:
            self._wake_all()  # whatever was notified while nobody listened
            while not self._stopping:
                if subscription.wait(seconds=1.0):
                    self._wake_all()
        return None

    def _wake_all(self) -> None:
        for service in self._wakes:
            service.wake()

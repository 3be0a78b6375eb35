"""Leader: of several coordinators one fires timers, polls and rescues; another takes over when it is gone."""

import logging
from collections.abc import Callable, Sequence
from datetime import timedelta
from time import monotonic
from typing import Final

from workflow_engine.engine.service import Service
from workflow_engine.errors import DatabaseUnavailable
from workflow_engine.store.leaders import Leadership

logger = logging.getLogger(__name__)

ROLE: Final = "coordinator"
"""Of the leading coordinator."""
LEASE: Final = timedelta(seconds=3)
"""How long a leader may be silent, its connection alive, before another one ends it: it is stopped, or its host off."""
_TRY_EVERY: Final = timedelta(seconds=1)


class Leader(Service):
    """Stands for election, and wakes the services it leads when it is elected.

    A leader that is killed is replaced within a second, as its connection ends with it; one that is stopped, within the
    lease and a second. What a deposed leader is still doing does no harm: every command is safe to repeat.
    """

    name = "leader"

    def __init__(
        self,
        leadership: Leadership,
        led: Sequence[Service],
        *,
        lease: timedelta = LEASE,
        monotonic: Callable[[], float] = monotonic,
    ) -> None:
        """Let ``led`` work only while this coordinator leads."""
        super().__init__(_TRY_EVERY)
        self._leadership = leadership
        self._led = led
        self._lease = lease
        self._monotonic = monotonic
        self._renewed_at: float | None = None
        for service in led:
            service.only_while(lambda: self.is_leading)

    @property
    def is_leading(self) -> bool:
        """Whether this coordinator leads: it has said so within the lease."""
        return self._renewed_at is not None and self._monotonic() - self._renewed_at < self._lease.total_seconds()

    def run_once(self) -> timedelta | None:
        """Say that the leader is awake, or try to become it."""
        asked_at = self._monotonic()
        try:
            self._renew(asked_at)
        except DatabaseUnavailable:
            self._forget()
            raise
        return None

    def stop(self) -> None:
        """Give the role to whoever stands for it."""
        super().stop()
        self._renewed_at = None
        self._leadership.resign()

    def _renew(self, asked_at: float) -> None:
        if self._renewed_at is not None:
            self._leadership.renew()
            self._renewed_at = asked_at
        elif self._leadership.try_lead(self._lease):
            self._renewed_at = asked_at
            logger.info("leads: %s", ", ".join(service.name for service in self._led))
            for service in self._led:
                service.wake()

    def _forget(self) -> None:
        if self._renewed_at is not None:
            logger.warning("does not lead any more")
        self._renewed_at = None
        self._leadership.resign()

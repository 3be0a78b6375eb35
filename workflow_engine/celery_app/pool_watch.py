"""A worker bootstep: a pool process that was killed is noticed at once, not within Celery's five seconds."""

from typing import Any, ClassVar, Final

from celery.bootsteps import StartStopStep

_EVERY: Final = 0.5
"""Seconds between two looks."""


class PoolWatch(StartStopStep):  # type: ignore[misc]  # Celery has no types
    """Looks after the pool's processes twice a second.

    Celery looks when a process closes its pipe. A killed process closes its pipe shortly before it can be waited for,
    so Celery often looks too early, finds it alive, and looks again only after five seconds.
    """

    requires: ClassVar = {"celery.worker.components:Pool"}

    def register_with_event_loop(self, worker: Any, hub: Any) -> None:
        """Add the look to the worker's event loop; pools without processes have none."""
        maintain = getattr(getattr(worker.pool, "_pool", None), "maintain_pool", None)
        if maintain is not None:
            hub.call_repeatedly(_EVERY, maintain)

"""Evictions: a handler whose attempt was given away does not keep its place in the pool for ever."""

import logging
import os
import signal
from contextlib import suppress
from time import time
from typing import Any, Final

from celery.worker import state as worker_state

from workflow_engine.celery_app.at_hand import steps_that_run
from workflow_engine.celery_app.leases import WorkerLease

logger = logging.getLogger(__name__)

_OF_PROCESSES: Final = frozenset({"prefork", "processes"})
_OF_GREENLETS: Final = frozenset({"gevent"})


class Evictions:
    """Looks, with each heartbeat, for what still runs here although it is no longer ours; ends it at the second look.

    Until then a handler that calls ``ctx.heartbeat()`` stops by itself. Whatever ends here changes no step: the attempt
    is over. A thread cannot be ended from outside; its place is taken until its handler returns.
    """

    def __init__(self, lease: WorkerLease, *, every: float) -> None:
        """Expect a look ``every`` so many seconds; what is younger than that is not looked at."""
        self._lease = lease
        self._every = every
        self._noticed: set[Any] = set()

    def look(self, worker: Any) -> None:
        """Notice what was given away since the last look, and end what was noticed then.

        ``worker`` is Celery's ``WorkController``.
        """
        running = [request for request in steps_that_run() if time() - request.time_start > self._every]
        gone = self._lease.given_away([request.attempt for request in running]) if running else set()
        evicted = {request for request in running if request.attempt in gone}
        for request in evicted & self._noticed:
            if request in worker_state.active_requests:
                self._end(request, worker)
        for request in evicted - self._noticed:
            logger.warning("%s goes on although its attempt was given away", request.id)
        self._noticed = evicted

    def _end(self, request: Any, worker: Any) -> None:
        pool = self._lease.identity.pool
        if pool in _OF_PROCESSES:
            logger.warning("%s goes on: its process is killed", request.id)
            # Not the pool's `terminate_job`, which tells the result backend that the task was revoked.
            with suppress(ProcessLookupError):
                os.kill(request.worker_pid, signal.SIGKILL)
        elif pool in _OF_GREENLETS:
            logger.warning("%s goes on: its greenlet is killed", request.id)
            worker.pool.terminate_job(request.worker_pid)

"""Celery's worker signals: the heartbeat that is the lease of every step a worker runs."""

import logging
import os
from collections.abc import Callable, Iterable
from threading import Event as Flag
from threading import Thread
from typing import Any, Final

from celery import signals

from workflow_engine.celery_app.at_hand import tasks_at_hand
from workflow_engine.celery_app.broker_waits import let_others_run
from workflow_engine.celery_app.evictions import Evictions
from workflow_engine.celery_app.kept_steps import KeptSteps
from workflow_engine.celery_app.leases import WorkerLease
from workflow_engine.celery_app.runtime import ENFORCING_POOLS
from workflow_engine.celery_app.worker_facts import facts_of, pool_name
from workflow_engine.definitions.workflow import Workflow
from workflow_engine.errors import WorkflowEngineError

logger = logging.getLogger(__name__)

_RECONCILE_EVERY: Final = 5
"""Heartbeats between two looks for attempts that are ours in the database and nobody's in this process."""


class WorkerHooks:
    """Starts and stops with the worker's main process; does nothing in clients and pool processes."""

    def __init__(
        self, lease: WorkerLease, kept_steps: KeptSteps, *, every: float, workflows: Iterable[Workflow] = ()
    ) -> None:
        """Renew ``lease`` ``every`` so many seconds, and say which workflows the worker has."""
        self._lease = lease
        self._kept_steps = kept_steps
        self._workflows = workflows
        self._every = every
        self._evictions = Evictions(lease, every=every)
        self._worker: Any = None
        self._stopping = Flag()
        self._threads: list[Thread] = []

    def connect(self) -> None:
        """Listen to Celery's signals."""
        signals.celeryd_after_setup.connect(self._on_setup, weak=False)
        signals.worker_ready.connect(self._on_ready, weak=False)
        signals.worker_shutdown.connect(self._on_shutdown, weak=False)

    def _on_setup(self, sender: str, instance: Any, **_: Any) -> None:
        let_others_run()
        # Before the pool forks, so that its processes claim in the name of this worker.
        self._lease.identity.name = sender
        self._lease.identity.pid = os.getpid()
        self._lease.identity.pool = pool_name(instance.pool_cls)
        self._lease.facts = lambda: facts_of(instance, self._workflows)
        self._worker = instance
        self._kept_steps.open(of_processes=self._lease.identity.pool in ENFORCING_POOLS)
        self._try(self._lease.beat)

    def _on_ready(self, **_: Any) -> None:
        self._try(self._lease.beat)  # a pool may have taken a while to start
        # Two threads: looking after steps may have to wait for the broker, and must not cost the lease of all of them.
        self._threads = [
            Thread(target=self._beat, name="wfe-heartbeat", daemon=True),
            Thread(target=self._look_after_steps, name="wfe-own-steps", daemon=True),
        ]
        for thread in self._threads:
            thread.start()

    def _on_shutdown(self, **_: Any) -> None:
        self._stopping.set()
        for thread in self._threads:
            thread.join(timeout=self._every + 5)
        if self._threads:
            self._try(self._lease.forget)

    def _beat(self) -> None:
        while not self._stopping.wait(self._every):
            self._try(self._lease.beat)

    def _look_after_steps(self) -> None:
        looks = 0
        while not self._stopping.wait(self._every):
            self._try(self._kept_steps.drain)  # what is at hand is also what the pool goes on with
            self._try(lambda: self._evictions.look(self._worker))
            looks += 1
            if looks % _RECONCILE_EVERY == 0:
                self._try(lambda: self._lease.reconcile(tasks_at_hand()))

    def _try(self, action: Callable[[], None]) -> None:
        try:
            action()
        except WorkflowEngineError as error:
            logger.warning("worker heartbeat: %s", error)
        except Exception:  # whatever it is: the thread goes on
            logger.exception("worker heartbeat")

"""WorkerMetrics: what a worker's main process knows of its pool and its tasks, at a port of its own."""

import logging
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from celery import signals

from workflow_engine.celery_app.at_hand import requests_at_hand, tasks_at_hand
from workflow_engine.celery_app.kept_steps import KeptSteps
from workflow_engine.celery_app.leases import WorkerLease
from workflow_engine.celery_app.messages import STEP_TASK
from workflow_engine.engine.circuit_breaker import CircuitBreaker
from workflow_engine.engine.circuit_gauges import circuit_gauges
from workflow_engine.errors import ConfigurationError
from workflow_engine.metrics import instruments
from workflow_engine.metrics.instrument import Observed, Values

if TYPE_CHECKING:
    from workflow_engine.metrics.meter import Metrics

logger = logging.getLogger(__name__)

_STEP, _OTHER = "step", "other"
KINDS: Final = (_STEP, _OTHER)


class WorkerMetrics:
    """Starts and stops with the worker's main process; does nothing in clients and pool processes."""

    def __init__(
        self,
        lease: WorkerLease,
        kept_steps: KeptSteps,
        open_metrics: Callable[[], "Metrics | None"],
        circuits: Sequence[CircuitBreaker] = (),
    ) -> None:
        """Measure into what ``open_metrics`` returns, once the worker is ready; also this process's ``circuits``."""
        self._lease = lease
        self._kept_steps = kept_steps
        self._circuits = circuits
        self._open_metrics = open_metrics
        self._metrics: Metrics | None = None
        self._pool: Any = None
        self._received: Counter[str] = Counter()
        self._finished: Counter[str] = Counter()

    def connect(self) -> None:
        """Listen to Celery's signals."""
        signals.task_received.connect(self._on_received, weak=False)
        signals.worker_ready.connect(self._on_ready, weak=False)
        signals.worker_shutdown.connect(self._on_shutdown, weak=False)

    @property
    def observed(self) -> Observed:
        """What answers for the instruments of a worker."""
        return {
            **circuit_gauges(self._circuits),
            instruments.WORKER_UP: lambda: [(1, {"worker": self._lease.identity.name})],
            instruments.WORKER_STEPS_AT_HAND: lambda: [(len(tasks_at_hand()), {})],
            instruments.WORKER_TASKS_RECEIVED: lambda: _by_kind(self._count_received()),
            instruments.WORKER_TASKS_FINISHED: lambda: _by_kind(self._count_finished()),
            instruments.WORKER_POOL_SIZE: self._pool_size,
            instruments.WORKER_HEARTBEAT_AGE: self._heartbeat_age,
        }

    def _on_received(self, request: Any, **_: Any) -> None:
        self._received[_kind(request)] += 1

    def _on_ready(self, sender: Any, **_: Any) -> None:
        # Now that the pool has forked: what follows has threads and a socket.
        self._pool = sender.pool
        try:
            self._metrics = self._open_metrics()
        except ConfigurationError as error:
            logger.warning("no metrics of this worker: %s", error)
        if self._metrics is not None:
            self._metrics.observe(self.observed)

    def _on_shutdown(self, **_: Any) -> None:
        if self._metrics is not None:
            self._metrics.close()

    def _count_received(self) -> Counter[str]:
        """Those that came with messages, and those that the pool went on with."""
        return self._received + Counter({_STEP: self._kept_steps.count})

    def _count_finished(self) -> Counter[str]:
        """A task that comes just now is not at hand yet, so what was counted once stays counted."""
        received = self._count_received()
        at_hand = Counter(_kind(request) for request in requests_at_hand())
        self._finished |= received - at_hand
        return self._finished

    def _pool_size(self) -> Values:
        return [(self._pool.num_processes, {})]

    def _heartbeat_age(self) -> Values:
        age = self._lease.seconds_since_beat
        return [] if age is None else [(age, {})]


def _kind(request: Any) -> str:
    return _STEP if request.type == STEP_TASK else _OTHER


def _by_kind(numbers: Mapping[str, int]) -> Values:
    return [(numbers.get(kind, 0), {"kind": kind}) for kind in KINDS]

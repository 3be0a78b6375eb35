"""BacklogGauges: what waits, read from the database when somebody asks, and at most every few seconds."""

import logging
from collections import Counter
from collections.abc import Callable, Mapping
from datetime import timedelta
from time import monotonic

from workflow_engine.errors import WorkflowEngineError
from workflow_engine.metrics import instruments, readiness
from workflow_engine.metrics.instrument import Observed, Values
from workflow_engine.metrics.kept import Kept
from workflow_engine.model.run import RunState
from workflow_engine.model.step import StepState
from workflow_engine.store.gauges import Backlog, SubscriberBacklog
from workflow_engine.store.transaction import Store

logger = logging.getLogger(__name__)


class BacklogGauges:
    """The gauges of a coordinator; a database that does not answer is not asked more often than one that does."""

    def __init__(
        self,
        store: Store,
        *,
        lease: timedelta,
        default_queue: str,
        monotonic: Callable[[], float] = monotonic,
    ) -> None:
        """Read through ``store``; steps that name no queue are in ``default_queue``."""
        self.read = Kept(self._ask, monotonic)
        """Returns what waited a few seconds ago at most; None if the database does not answer."""
        self._store = store
        self._lease = lease
        self._default_queue = default_queue
        self._queues = {default_queue}
        self._workflows: set[tuple[str, str]] = set()

    @property
    def observed(self) -> Observed:
        """What answers for the instruments of the database."""
        return {
            instruments.UNFINISHED_RUNS: self._values(lambda backlog: _by_state(backlog.runs)),
            instruments.UNFINISHED_STEPS: self._values(lambda backlog: _by_state(backlog.steps)),
            instruments.QUEUE_DEPTH: self._values(self._queue_depths),
            readiness.TIMERS_PENDING: self._values(
                lambda backlog: [(number, {"kind": kind}) for kind, number in backlog.timers.items()]
            ),
            instruments.OLDEST_READY: self._values(lambda backlog: [(backlog.oldest_ready_seconds, {})]),
            instruments.WORKERS_ALIVE: self._values(lambda backlog: [(backlog.workers_alive, {})]),
            instruments.DEAD_STEPS: self._values(self._dead_steps),
            instruments.BACKLOG_COMPLETE: self._values(lambda backlog: [(int(backlog.is_complete), {})]),
            instruments.RELAY_LAG_EVENTS: self._values(_by_subscriber(lambda each: each.lag_events)),
            instruments.RELAY_LAG: self._values(_by_subscriber(lambda each: each.lag_seconds)),
            instruments.DEAD_LETTERS: self._values(_by_subscriber(lambda each: each.dead_letters)),
            instruments.DATABASE_UP: lambda: [(int(self.read() is not None), {})],
        }

    def _ask(self) -> Backlog | None:
        try:
            with self._store.transaction() as tx:
                return tx.gauges.backlog(self._lease)
        except WorkflowEngineError as error:
            logger.warning("no gauges: %s", error)
            return None

    def _values(self, values: Callable[[Backlog], Values]) -> Callable[[], Values]:
        def observed() -> Values:
            backlog = self.read()
            return [] if backlog is None else values(backlog)

        return observed

    def _queue_depths(self, backlog: Backlog) -> Values:
        depths: Counter[str] = Counter()
        for queue, number in backlog.queues.items():
            depths[queue or self._default_queue] += number
        self._queues |= depths.keys()  # an empty queue has a depth of 0: it is not gone
        return [(depths[queue], {"queue": queue}) for queue in sorted(self._queues)]

    def _dead_steps(self, backlog: Backlog) -> Values:
        self._workflows |= backlog.dead_steps.keys()  # as with the queues: 0 is what an alert waits for
        return [
            (backlog.dead_steps.get(each, 0), {"namespace": each[0], "workflow": each[1]})
            for each in sorted(self._workflows)
        ]


def _by_state(numbers: Mapping[RunState, int] | Mapping[StepState, int]) -> Values:
    return [(number, {"state": str(state)}) for state, number in numbers.items()]


def _by_subscriber(value: Callable[[SubscriberBacklog], float]) -> Callable[[Backlog], Values]:
    return lambda backlog: [(value(each), {"subscriber": each.name}) for each in backlog.subscribers]

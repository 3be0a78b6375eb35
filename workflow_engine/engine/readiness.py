"""ReadinessService: dispatches the steps of which somebody told it that they are ready."""

from datetime import timedelta
from threading import Lock
from typing import Final

from workflow_engine.engine.coordinator_meter import CoordinatorMeter
from workflow_engine.engine.processor import Processor
from workflow_engine.engine.service import Service
from workflow_engine.ids import RunId
from workflow_engine.model.commands import ProcessReadiness

BATCH: Final = 500
RUNS_NAMED: Final = 200
"""With more runs than these at once, it is cheaper to look at all that is ready."""
ASLEEP: Final = timedelta(hours=1)


class ReadinessService(Service):
    """Sleeps until it is asked; asks the database nothing by itself."""

    name = "readiness"

    def __init__(self, processor: Processor, *, meter: CoordinatorMeter | None = None, batch: int = BATCH) -> None:
        """Dispatch ``batch`` steps in a transaction."""
        super().__init__(ASLEEP)
        self._processor = processor
        self._meter = meter or CoordinatorMeter()
        self._batch = batch
        self._lock = Lock()
        self._asked: dict[str, set[RunId] | None] = {}
        """The runs to look at, by what triggered it; None: all."""

    def ask(self, triggered_by: str, run_id: RunId | None = None) -> None:
        """Dispatch what is ready of a run, or of all, soon."""
        with self._lock:
            runs = self._asked.setdefault(triggered_by, set())
            if runs is not None:
                if run_id is None or len(runs) >= RUNS_NAMED:
                    self._asked[triggered_by] = None
                else:
                    runs.add(run_id)
        self.wake()

    def run_once(self) -> timedelta | None:
        """Dispatch all that was asked for."""
        with self._lock:
            asked, self._asked = self._asked, {}
        while asked:
            triggered_by, runs = next(iter(asked.items()))
            try:
                self._process(triggered_by, None if runs is None else sorted(runs))
            except Exception:
                self._ask_again(asked)
                raise
            del asked[triggered_by]
        return None

    def _process(self, triggered_by: str, run_ids: list[RunId] | None) -> None:
        number = self._batch
        while number == self._batch:
            command = ProcessReadiness(limit=self._batch, run_ids=run_ids, triggered_by=triggered_by)
            handed = self._processor.execute(command)
            self._meter.dispatched(triggered_by, handed.waited)
            number = handed.number

    def _ask_again(self, asked: dict[str, set[RunId] | None]) -> None:
        with self._lock:
            for triggered_by, runs in asked.items():
                others = self._asked.get(triggered_by, set())
                self._asked[triggered_by] = None if runs is None or others is None else runs | others

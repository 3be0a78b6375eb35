"""CoordinatorMeter: counts what a coordinator does; for nobody where metrics are not wanted."""

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

from workflow_engine.metrics import readiness as instruments
from workflow_engine.metrics.instrument import Instrument
from workflow_engine.model.timers import Timer

if TYPE_CHECKING:
    from workflow_engine.metrics.meter import Metrics


class CoordinatorMeter:
    """What a coordinator measures about readiness and timers."""

    def __init__(self, metrics: "Metrics | None" = None) -> None:
        """Record in ``metrics``, if there are any."""
        self._metrics = metrics

    def noticed(self, triggered_by: str, latency: float | None) -> None:
        """A notice of readiness arrived, so many seconds after it was sent."""
        self._count(instruments.READINESS_EVENTS, {"triggered_by": triggered_by})
        if self._metrics is not None and latency is not None:
            self._metrics.record(instruments.NOTIFICATION_LATENCY, {}, max(latency, 0.0))

    def dispatched(self, triggered_by: str, waited: Sequence[float]) -> None:
        """A command was sent, and dispatched steps that had been ready for so many seconds."""
        self._count(instruments.READINESS_COMMANDS, {"triggered_by": triggered_by})
        if self._metrics is not None:
            for seconds in waited:
                self._metrics.record(instruments.READINESS_LATENCY, {"triggered_by": triggered_by}, max(seconds, 0.0))

    def polled(self, found: int) -> None:
        """The fallback poller looked, and found so many steps."""
        self._count(instruments.FALLBACK_POLLS, {})
        self._count(instruments.FALLBACK_FOUND, {}, found)

    def fired(self, timers: Sequence[Timer]) -> None:
        """Timers were fired."""
        for kind, number in Counter(timer.kind for timer in timers).items():
            self._count(instruments.TIMERS_FIRED, {"kind": kind}, number)
        if self._metrics is not None:
            for timer in timers:
                self._metrics.record(instruments.TIMER_LATENESS, {}, timer.late.total_seconds())

    def _count(self, instrument: Instrument, labels: dict[str, str], number: int = 1) -> None:
        if self._metrics is not None:
            self._metrics.count(instrument, labels, number)

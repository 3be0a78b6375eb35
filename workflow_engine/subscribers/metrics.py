"""MetricsSubscriber: events as metrics, from nothing but what the events say."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, ClassVar, Final

from workflow_engine.metrics import instruments
from workflow_engine.metrics.instrument import Instrument
from workflow_engine.model.records import EventRecord
from workflow_engine.model.run import RunState, run_state_after
from workflow_engine.model.step import STEP_STATE_AFTER, StepState
from workflow_engine.relay.subscriber import Subscriber

if TYPE_CHECKING:
    from workflow_engine.metrics.meter import Metrics

_LOST: Final = "step.lost"
_RETRYING: Final = "step.retrying"
_DISPATCHED: Final = "step.dispatched"
_UNKNOWN: Final = ""


class MetricsSubscriber(Subscriber):
    """Counts runs, steps and events, and how long they took.

    At least once: what comes again after a crash of the relay is counted again.
    """

    name: ClassVar[str] = "metrics"
    subscribe_to: ClassVar[Sequence[str]] = ["*", "subscriber.*"]
    batch_size: ClassVar[int] = 1_000
    max_wait: ClassVar[float] = 0.25

    def __init__(self, open_metrics: Callable[[], "Metrics | None"]) -> None:
        """Measure into what ``open_metrics`` returns in the process that delivers; None is nowhere."""
        super().__init__()
        self._open_metrics = open_metrics
        self._meter: EventMeter | None = None

    def opened(self) -> None:
        """Get the instruments."""
        metrics = self._open_metrics()
        self._meter = None if metrics is None else EventMeter(metrics)

    def on_batch(self, events: Sequence[EventRecord]) -> None:
        """Count events."""
        if self._meter is not None:
            self._meter.measure(events)


class EventMeter:
    """Turns what events say into measurements."""

    def __init__(self, metrics: "Metrics") -> None:
        """Measure into ``metrics``."""
        self._metrics = metrics
        self._counts: Counter[tuple[Instrument, tuple[tuple[str, str], ...]]] = Counter()

    def measure(self, events: Sequence[EventRecord]) -> None:
        """Count events, and what they say of their runs or steps."""
        self._counts.clear()  # what was left by a batch that failed comes again, event by event
        for event in events:
            self._measure(event)
        for (instrument, labels), number in self._counts.items():
            self._metrics.count(instrument, dict(labels), number)

    def _measure(self, event: EventRecord) -> None:
        self._count(instruments.EVENTS, {"name": event.name})
        if (run_state := run_state_after(event.name, event.data)) is not None:
            self._count_run(event, run_state)
        elif (step_state := STEP_STATE_AFTER.get(event.name)) is not None:
            self._count_step(event, step_state)

    def _count_run(self, event: EventRecord, state: RunState) -> None:
        labels = _run_labels(event)
        self._count(instruments.RUNS, {**labels, "state": state.value})
        seconds = _seconds(_moment(event, "started_at"), event.occurred_at)
        if seconds is not None:
            self._metrics.record(instruments.RUN_DURATION, {**labels, "state": state.value}, seconds)

    def _count_step(self, event: EventRecord, state: StepState) -> None:
        labels = {**_run_labels(event), "step": event.step or _UNKNOWN}
        self._count(instruments.STEPS, {**labels, "state": state.value})
        if event.name == _DISPATCHED:
            ready_at = _moment(event, "ready_at") or event.occurred_at
            self._metrics.record(
                instruments.STEP_DISPATCH_LATENCY, labels, _seconds(ready_at, event.occurred_at) or 0.0
            )
        if event.name == _RETRYING:
            self._count(instruments.STEP_RETRIES, labels)
        if event.name == _LOST:
            self._count(instruments.STEPS_LOST, labels)
        self._record_times(event, labels, state)

    def _record_times(self, event: EventRecord, labels: Mapping[str, str], state: StepState) -> None:
        started_at = _moment(event, "started_at")
        waited = _seconds(_moment(event, "dispatched_at"), started_at)
        if waited is not None:
            self._metrics.record(instruments.STEP_QUEUE_WAIT, labels, waited)
        ran = _seconds(started_at, event.occurred_at)
        if ran is not None and event.name != _LOST:
            self._metrics.record(instruments.STEP_DURATION, {**labels, "state": state.value}, ran)

    def _count(self, instrument: Instrument, labels: Mapping[str, str]) -> None:
        """Count until the batch is through: the same again and again costs one addition there."""
        self._counts[instrument, tuple(labels.items())] += 1


def _run_labels(event: EventRecord) -> dict[str, str]:
    return {"namespace": event.namespace, "workflow": event.workflow or _UNKNOWN}


def _moment(event: EventRecord, field: str) -> datetime | None:
    """Return a time of the payload, which is JSON: parsing the whole payload would cost more than all the counting."""
    text = event.data.get(field)
    return None if text is None else datetime.fromisoformat(text)


def _seconds(begin: datetime | None, end: datetime | None) -> float | None:
    return None if begin is None or end is None else max((end - begin).total_seconds(), 0.0)

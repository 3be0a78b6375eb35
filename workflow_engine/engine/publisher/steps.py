"""Events about steps, and what waits for signals."""

from datetime import datetime
from functools import lru_cache

from workflow_engine.engine.payloads import payload_as_json
from workflow_engine.engine.publisher.making import bounded, bounded_if_any, event_of
from workflow_engine.ids import RunId
from workflow_engine.model import lifecycle_events, retry_events, signal_events, step_events
from workflow_engine.model.commands import StepError
from workflow_engine.model.events import Event
from workflow_engine.model.records import AttemptTimes
from workflow_engine.model.step import StepState


def step_dispatched(
    step: str, attempt: int, queue: str | None, triggered_by: str, ready_at: datetime | None = None
) -> Event:
    """A step was handed to Celery."""
    return Event(
        name=step_events.StepDispatched.event,
        step=step,
        attempt=attempt,
        data=_dispatched_payload(queue, triggered_by)
        if ready_at is None
        else payload_as_json(step_events.StepDispatched(queue=queue, triggered_by=triggered_by, ready_at=ready_at)),
    )


def step_released(step: str, reason: str) -> Event:
    """A step could not be taken."""
    return event_of(step_events.StepReleased(reason=bounded(reason)), step)


def step_started(step: str, attempt: int, worker: str) -> Event:
    """A worker claimed an attempt."""
    return Event(name=step_events.StepStarted.event, step=step, attempt=attempt, data=_started_payload(worker))


def step_suspended(step: str, attempt: int, until: datetime | None, signal: str | None) -> Event:
    """A step waits."""
    return event_of(step_events.StepSuspended(until=until, signal=signal), step, attempt)


def step_resumed(step: str, attempt: int, because: str) -> Event:
    """A step waits no more."""
    return event_of(step_events.StepResumed(because=because), step, attempt)


def signal_received(signal: str, actor: str | None) -> Event:
    """A signal was stored."""
    return event_of(signal_events.SignalReceived(signal=signal, actor=actor))


def step_completed(step: str, attempt: int, times: AttemptTimes, seconds: float) -> Event:
    """A step succeeded."""
    return event_of(
        step_events.StepCompleted(
            seconds=round(seconds, 6), dispatched_at=times.dispatched_at, started_at=times.started_at
        ),
        step,
        attempt,
    )


def step_retrying(step: str, attempt: int, times: AttemptTimes, error: StepError, delay_seconds: float) -> Event:
    """An attempt failed and another is due."""
    return event_of(
        step_events.StepRetrying(
            error_class=error.error_class,
            message=bounded(error.message),
            delay_seconds=delay_seconds,
            dispatched_at=times.dispatched_at,
            started_at=times.started_at,
        ),
        step,
        attempt,
    )


def step_lost(step: str, attempt: int, times: AttemptTimes, reason: str) -> Event:
    """The process that ran an attempt went away."""
    return event_of(
        step_events.StepLost(reason=bounded(reason), dispatched_at=times.dispatched_at, started_at=times.started_at),
        step,
        attempt,
    )


def step_failed(step: str, attempt: int, times: AttemptTimes, error: StepError) -> Event:
    """A step's last attempt failed."""
    return event_of(
        step_events.StepFailed(
            error_class=error.error_class,
            message=bounded(error.message),
            dispatched_at=times.dispatched_at,
            started_at=times.started_at,
        ),
        step,
        attempt,
    )


def step_skipped(step: str, because: str) -> Event:
    """A step will never run."""
    return event_of(step_events.StepSkipped(because=because), step)


def step_cancelled(step: str, because: str, attempt: int | None = None, times: AttemptTimes | None = None) -> Event:
    """A step was cancelled; with its attempt and times, if it ran."""
    return event_of(
        step_events.StepCancelled(
            because=because,
            dispatched_at=None if times is None else times.dispatched_at,
            started_at=None if times is None else times.started_at,
        ),
        step,
        attempt,
    )


def step_requeued(step: str, attempt: int | None, *, was: StepState, reason: str | None, actor: str | None) -> Event:
    """A step that had failed or been cancelled is ready again; ``attempt`` is the last one it had, if it had any."""
    return event_of(retry_events.StepRequeued(was=was.value, reason=bounded_if_any(reason), actor=actor), step, attempt)


def step_restored(step: str, *, was: StepState, missing: int) -> Event:
    """A step that had been skipped or cancelled waits again."""
    return event_of(retry_events.StepRestored(was=was.value, missing=missing), step)


def step_discarded(step: str, attempt: int, *, reason: str | None, actor: str | None) -> Event:
    """A failed step was given up for good."""
    return event_of(retry_events.StepDiscarded(reason=bounded_if_any(reason), actor=actor), step, attempt)


def step_reused(step: str, rerun_of: RunId) -> Event:
    """A step has the result it had in an earlier run."""
    return event_of(lifecycle_events.StepReused(rerun_of=rerun_of), step)


def step_resolved(step: str, attempt: int | None, *, was: StepState, reason: str, actor: str | None) -> Event:
    """Somebody said what a step's result is; ``attempt`` is the one that this ends, if one had begun."""
    return event_of(lifecycle_events.StepResolved(was=was.value, reason=bounded(reason), actor=actor), step, attempt)


@lru_cache(maxsize=10_000)
def _dispatched_payload(queue: str | None, triggered_by: str) -> str:
    return payload_as_json(step_events.StepDispatched(queue=queue, triggered_by=triggered_by))


@lru_cache(maxsize=100)
def _started_payload(worker: str) -> str:
    return payload_as_json(step_events.StepStarted(worker=worker))

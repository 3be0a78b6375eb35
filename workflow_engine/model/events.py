"""The event catalogue: one payload model per fact, with its name, description, example and version.

Payloads carry ids, names, states, times, error classes and bounded messages; never inputs or results.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from workflow_engine.errors import EventRefused
from workflow_engine.model import deadline_events, lifecycle_events, run_events, schedule_events, step_events
from workflow_engine.model.payload_fields import (
    MESSAGE_LIMIT,
    PAYLOAD_LIMIT,
    Internal,
    Payload,
    Personal,
    Privacy,
    Public,
    privacy_of,
)
from workflow_engine.model.retry_events import RunRetried, StepDiscarded, StepRequeued, StepRestored
from workflow_engine.model.signal_events import SignalReceived
from workflow_engine.model.subscriber_events import (
    SubscriberDeadLettered,
    SubscriberDiscarded,
    SubscriberReplayed,
    SubscriberRequeued,
)

__all__ = [
    "CATALOGUE",
    "MESSAGE_LIMIT",
    "PAYLOAD_LIMIT",
    "Event",
    "Internal",
    "Payload",
    "Personal",
    "Privacy",
    "Public",
    "parse_payload",
    "privacy_of",
]


CATALOGUE: dict[str, type[Payload]] = {
    payload.event: payload
    for payload in (
        run_events.RunSubmitted,
        run_events.RunStarted,
        run_events.RunSucceeded,
        run_events.RunFailed,
        run_events.RunCancelling,
        run_events.RunCancelled,
        run_events.RunExpired,
        run_events.RunStale,
        RunRetried,
        lifecycle_events.RunPaused,
        lifecycle_events.RunResumed,
        lifecycle_events.RunUpdated,
        lifecycle_events.RunDeleted,
        lifecycle_events.RunRepeated,
        deadline_events.RunDueSoon,
        deadline_events.RunOverdue,
        deadline_events.RunRescheduled,
        step_events.StepDispatched,
        step_events.StepReleased,
        step_events.StepStarted,
        step_events.StepSuspended,
        step_events.StepResumed,
        step_events.StepCompleted,
        step_events.StepRetrying,
        step_events.StepLost,
        step_events.StepFailed,
        step_events.StepSkipped,
        step_events.StepCancelled,
        StepRequeued,
        StepRestored,
        StepDiscarded,
        lifecycle_events.StepReused,
        lifecycle_events.StepResolved,
        SignalReceived,
        schedule_events.ScheduleCreated,
        schedule_events.ScheduleUpdated,
        schedule_events.SchedulePaused,
        schedule_events.ScheduleResumed,
        schedule_events.ScheduleDeleted,
        schedule_events.ScheduleFired,
        schedule_events.ScheduleSkipped,
        SubscriberDeadLettered,
        SubscriberRequeued,
        SubscriberDiscarded,
        SubscriberReplayed,
    )
}
"""Every event there is, by name. What is not here cannot be published."""


def parse_payload(name: str, data: Mapping[str, Any]) -> Payload:
    """Return a payload as the catalogue's model, its fields checked; those of a newer program are left out.

    Raises:
        EventRefused: the catalogue does not have the event, or the data breaks its schema.
    """
    model = CATALOGUE.get(name)
    if model is None:
        raise EventRefused(name, "is not in the catalogue")
    try:
        return model.model_validate({name: value for name, value in data.items() if name in model.model_fields})
    except ValidationError as error:
        raise EventRefused(name, f"its payload breaks its schema: {error}") from None


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """A fact, ready for the event log. Only ``engine.publisher`` makes them."""

    name: str
    data: str
    """The payload as JSON text."""
    step: str | None = None
    attempt: int | None = None

    @property
    def as_cause(self) -> str:
        """How an event of the same transaction names this one as what led to it."""
        return " ".join(str(part) for part in (self.name, self.step, self.attempt) if part is not None)

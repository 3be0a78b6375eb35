"""What follows from a failed delivery. Pure."""

from datetime import timedelta
from random import Random
from typing import Final

from workflow_engine.model.commands import StepError
from workflow_engine.model.records import EventRecord
from workflow_engine.store.deliveries import DeliveryState, TriedDelivery

_FIRST: Final = 1.0
_FACTOR: Final = 4.0
_LONGEST: Final = 300.0
_JITTER: Final = 0.2


def delay(tries: int, random: Random) -> timedelta:
    """Return how long to wait after so many tries: 1 s, 4 s, 16 s …, a fifth more or less."""
    seconds = min(_FIRST * _FACTOR ** (tries - 1), _LONGEST)
    return timedelta(seconds=seconds * random.uniform(1 - _JITTER, 1 + _JITTER))


def after_failure(
    event: EventRecord, error: StepError, *, tries: int, most_tries: int, random: Random
) -> TriedDelivery:
    """Return what becomes of an event whose delivery has failed for the ``tries``-th time."""
    if tries >= most_tries:
        return TriedDelivery(event=event, state=DeliveryState.DEAD, tries=tries, error=error)
    due_in = delay(tries, random)
    return TriedDelivery(event=event, state=DeliveryState.PARKED, tries=tries, due_in=due_in, error=error)


def behind(event: EventRecord) -> TriedDelivery:
    """Return an event that waits until an earlier one of its run is delivered or given up."""
    return TriedDelivery(event=event, state=DeliveryState.PARKED, tries=0)

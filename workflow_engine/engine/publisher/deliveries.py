"""Events about deliveries to subscribers."""

from workflow_engine.engine.publisher.making import bounded, event_of
from workflow_engine.model import subscriber_events
from workflow_engine.model.events import Event


def subscriber_dead_lettered(
    subscriber: str, event_id: str, event_name: str, *, tries: int, error_class: str, message: str
) -> Event:
    """A delivery was given up."""
    return event_of(
        subscriber_events.SubscriberDeadLettered(
            subscriber=subscriber,
            event_id=event_id,
            event_name=event_name,
            tries=tries,
            error_class=error_class,
            message=bounded(message),
        )
    )


def subscriber_requeued(subscriber: str, deliveries: int, actor: str | None) -> Event:
    """Dead letters are to be delivered again."""
    return event_of(subscriber_events.SubscriberRequeued(subscriber=subscriber, deliveries=deliveries, actor=actor))


def subscriber_discarded(subscriber: str, deliveries: int, actor: str | None) -> Event:
    """Dead letters were given up for good."""
    return event_of(subscriber_events.SubscriberDiscarded(subscriber=subscriber, deliveries=deliveries, actor=actor))


def subscriber_replayed(subscriber: str, from_position: int, actor: str | None) -> Event:
    """A cursor was set."""
    return event_of(
        subscriber_events.SubscriberReplayed(subscriber=subscriber, from_position=from_position, actor=actor)
    )

"""Events about delivery itself, published by the relay and by people."""

from collections.abc import Iterator, Sequence
from typing import Final

from workflow_engine.engine import publisher
from workflow_engine.model.events import Event
from workflow_engine.store.deliveries import DeliveryState, TriedDelivery
from workflow_engine.store.transaction import Transaction

_ABOUT_DELIVERY: Final = "subscriber."


def publish_dead_letters(tx: Transaction, subscriber: str, tried: Sequence[TriedDelivery]) -> bool:
    """Publish an event for each dead letter, in its own event's namespace; return whether there was one.

    Not for dead letters of such events: two subscribers that fail on them would feed each other for ever.
    """
    dead = [each for each in tried if each.state is DeliveryState.DEAD]
    told = [each for each in dead if not each.event.name.startswith(_ABOUT_DELIVERY)]
    for namespace in dict.fromkeys(each.event.namespace for each in told):
        own = [each for each in told if each.event.namespace == namespace]
        publish(tx, namespace, list(_dead_lettered(subscriber, own)))
    return bool(told)


def publish(tx: Transaction, namespace: str, events: Sequence[Event]) -> None:
    """Append events that are about no run, and tell the relays."""
    tx.event_log.append_notices(events, namespace=namespace)
    tx.cursors.ring()


def _dead_lettered(subscriber: str, dead: Sequence[TriedDelivery]) -> Iterator[Event]:
    for each in dead:
        if each.error is not None:
            yield publisher.subscriber_dead_lettered(
                subscriber,
                event_id=each.event.event_id,
                event_name=each.event.name,
                tries=each.tries,
                error_class=each.error.error_class,
                message=each.error.message,
            )

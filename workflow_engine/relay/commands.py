"""What people ask of deliveries: again from an earlier place, dead letters once more, or never."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from workflow_engine.definitions.names import did_you_mean
from workflow_engine.engine import publisher
from workflow_engine.errors import DeadLetterNotFound, InvalidInput, SubscriberNotFound
from workflow_engine.model.events import Event
from workflow_engine.relay.notices import publish
from workflow_engine.store.cursors import CursorRecord, Forgotten
from workflow_engine.store.deliveries import DeadLetter, DeadLetterFilter
from workflow_engine.store.transaction import Store, Transaction


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplaySubscriber:
    """Deliver again what comes after a place of the log, or what occurred since a moment."""

    subscriber: str
    actor: str
    after_position: int | None = None
    since: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RequeueDeliveries:
    """Try dead letters again, as if for the first time."""

    wanted: DeadLetterFilter
    actor: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DiscardDeliveries:
    """Give dead letters up for good."""

    wanted: DeadLetterFilter
    actor: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ForgetSubscriber:
    """Delete what is kept of a subscriber that was removed for good."""

    subscriber: str
    actor: str


class DeliveryDesk:
    """Answers people about subscribers and dead letters, and does what they ask; each act publishes its event."""

    def __init__(self, store: Store, *, namespace: str) -> None:
        """Publish into ``namespace``."""
        self._store = store
        self._namespace = namespace

    def subscribers(self) -> list[CursorRecord]:
        """Return where every durable subscriber stands, by name."""
        with self._store.single() as tx:
            return tx.cursors.page()

    def dead_letters(
        self, *, subscriber: str | None = None, event_id: str | None = None, limit: int = 1_000
    ) -> list[DeadLetter]:
        """Return dead letters, the oldest event first."""
        with self._store.single() as tx:
            return tx.deliveries.page_dead_letters(subscriber=subscriber, event_id=event_id, limit=limit)

    def replay(self, command: ReplaySubscriber) -> int:
        """Set a cursor back (or forth), also while a relay holds it; return the place it now has.

        Raises:
            SubscriberNotFound: no subscriber of that name has a cursor.
            InvalidInput: there is no such place in the log.
        """

        def work(tx: Transaction) -> int:
            _find(tx, command.subscriber)
            position = self._position(command, tx)
            tx.cursors.move([command.subscriber], position)
            tx.deliveries.forget_after(command.subscriber, position)
            event = publisher.subscriber_replayed(command.subscriber, from_position=position, actor=command.actor)
            self._publish(tx, [event])
            return position

        return self._store.transact(work)

    def forget(self, command: ForgetSubscriber) -> Forgotten:
        """Delete a cursor, and its subscriber's dead letters and parked events; return how many these were.

        A subscriber that comes back is a new one.

        Raises:
            SubscriberNotFound: no subscriber of that name has a cursor.
            InvalidInput: a relay delivers to it.
        """

        def work(tx: Transaction) -> Forgotten:
            cursor = _find(tx, command.subscriber)
            forgotten = tx.cursors.forget_cursor(command.subscriber)
            if forgotten is None:
                relay = cursor.relay or "a relay"
                raise InvalidInput("subscriber", f"{relay} delivers to {command.subscriber!r}: remove it there first")
            if forgotten.dead:
                event = publisher.subscriber_discarded(
                    command.subscriber, deliveries=forgotten.dead, actor=command.actor
                )
                self._publish(tx, [event])
            return forgotten

        return self._store.transact(work)

    def requeue(self, command: RequeueDeliveries) -> Counter[str]:
        """Make dead letters due again; return how many of each subscriber.

        Raises:
            DeadLetterNotFound: none is as wanted.
        """

        def work(tx: Transaction) -> Counter[str]:
            self._tell_holders(tx, command.wanted)
            numbers = _some(tx.deliveries.requeue(command.wanted), command.wanted)
            self._publish(
                tx,
                [
                    publisher.subscriber_requeued(name, deliveries=number, actor=command.actor)
                    for name, number in sorted(numbers.items())
                ],
            )
            return numbers

        return self._store.transact(work)

    def discard(self, command: DiscardDeliveries) -> Counter[str]:
        """Give dead letters up; return how many of each subscriber.

        Raises:
            DeadLetterNotFound: none is as wanted.
        """

        def work(tx: Transaction) -> Counter[str]:
            numbers = _some(tx.deliveries.discard(command.wanted), command.wanted)
            self._publish(
                tx,
                [
                    publisher.subscriber_discarded(name, deliveries=number, actor=command.actor)
                    for name, number in sorted(numbers.items())
                ],
            )
            return numbers

        return self._store.transact(work)

    def _tell_holders(self, tx: Transaction, wanted: DeadLetterFilter) -> None:
        """Let relays look anew at what is parked. First, as they too take a cursor before its deliveries."""
        names = (
            [wanted.subscriber] if wanted.subscriber else [each.subscriber for each in tx.cursors.page() if each.dead]
        )
        tx.cursors.move(names, None)

    def _position(self, command: ReplaySubscriber, tx: Transaction) -> int:
        if command.since is not None:
            return tx.event_log.position_at(command.since)
        position, head = command.after_position or 0, tx.event_log.head()
        if not 0 <= position <= head:
            raise InvalidInput("position", f"must be between 0 and {head}, the end of the event log, not {position}")
        return position

    def _publish(self, tx: Transaction, events: Sequence[Event]) -> None:
        publish(tx, self._namespace, events)


def _find(tx: Transaction, subscriber: str) -> CursorRecord:
    found = {each.subscriber: each for each in tx.cursors.page()}
    if subscriber not in found:
        hint, there = did_you_mean(subscriber, found), ", ".join(found) or "none"
        raise SubscriberNotFound(f"no durable subscriber {subscriber!r} has a cursor{hint}; known: {there}")
    return found[subscriber]


def _some(numbers: Counter[str], wanted: DeadLetterFilter) -> Counter[str]:
    if numbers:
        return numbers
    whose = f" of subscriber {wanted.subscriber!r}" if wanted.subscriber else ""
    which = f" for event {', '.join(wanted.event_ids)}" if wanted.event_ids else ""
    raise DeadLetterNotFound(f"there is no dead letter{whose}{which}")

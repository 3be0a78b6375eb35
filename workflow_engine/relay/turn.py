"""Turn: what is done for one subscriber while its cursor is held."""

import logging
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random
from time import monotonic
from typing import Final

from workflow_engine.model.commands import StepError
from workflow_engine.model.records import EventRecord
from workflow_engine.relay.backoff import after_failure, behind
from workflow_engine.relay.calls import Answer, Call, Caller
from workflow_engine.relay.hold import Hold
from workflow_engine.relay.notices import publish_dead_letters
from workflow_engine.relay.order import place_of
from workflow_engine.relay.registry import Subscription
from workflow_engine.relay.tail import PAGE, Feed
from workflow_engine.store.deliveries import DeliveryState, TriedDelivery
from workflow_engine.store.transaction import Transaction

logger = logging.getLogger(__name__)

LAZY_SECONDS: Final = 1.0
"""How long a cursor may stay behind events that its subscriber does not want."""
_LONGEST_WAIT: Final = 3_600.0
_REST_LOOK: Final = 0.5


@dataclass(slots=True, kw_only=True)
class Numbers:
    """What a subscriber got from this process."""

    delivered: int = 0
    failed: int = 0
    dead_lettered: int = 0


class Turn:
    """Delivers batch after batch: the wanted events of the log's next stretch, then the cursor's advance.

    An event that raises is parked together with the advance; later ones of its run wait behind it, others go on.
    """

    def __init__(
        self, hold: Hold, subscription: Subscription, caller: Caller, numbers: Numbers, *, stopping: Callable[[], bool]
    ) -> None:
        """Deliver from where the held cursor stands."""
        self._hold = hold
        self._session = hold.session
        self._subscription = subscription
        self._subscriber = subscription.subscriber
        self._caller = caller
        self._numbers = numbers
        self._stopping = stopping
        self._feed = Feed(hold.tail)
        self._random = Random()  # noqa: S311 - jitter, no secret
        self._scanned = self._advanced = hold.position
        self._advanced_at = monotonic()
        self._parked: Counter[str | None] = Counter()
        self._due_at: float | None = None

    def run(self) -> None:
        """Deliver until the cursor is lost, wanted back, or the relay stops.

        Raises:
            DatabaseUnavailable: PostgreSQL does not answer.
        """
        self._load_parked()
        while not self._is_over():
            if self._caller.is_exhausted:
                self._rest()
            elif self._due_at is not None and monotonic() >= self._due_at:
                self._try_again()
            else:
                self._deliver_next()
        if self._hold.is_good():
            self._advance_lazily(at_once=True)
            with self._session.single() as tx:
                tx.cursors.release(self._hold.key)

    def _is_over(self) -> bool:
        return self._stopping() or self._hold.is_wanted_back.is_set() or not self._hold.is_good()

    def _may_go_on(self) -> bool:
        return not self._stopping() and self._hold.is_good()

    # -- the next stretch of the log

    def _deliver_next(self) -> None:
        batch = self._gather()
        if not batch:
            self._advance_lazily()
            return
        free = [event for event in batch if event.run_id is None or not self._parked[event.run_id]]
        answer = self._call(free)
        if answer.reached < len(free):  # stopped, or too many calls hang: what follows is taken again later
            self._scanned = place_of(free[answer.reached]) - 1
            batch = [event for event in batch if place_of(event) <= self._scanned]
        self._settle(batch, free, answer)

    def _gather(self) -> list[EventRecord]:
        """Take the wanted events of the next stretch, up to a batch, waiting a little for more once there are some."""
        size, batch, full_at = self._subscriber.batch_size, list[EventRecord](), 0.0
        while len(batch) < size and not self._is_over():
            until = full_at if batch else monotonic() + self._patience()
            wait = max(until - monotonic(), 0.0)
            enough = min(size - len(batch), PAGE) if batch else 1  # the first one begins the wait for more
            events = self._feed.after(self._scanned, PAGE, wait=wait, stopped=self._is_over, enough=enough)
            if not batch:
                full_at = monotonic() + self._subscriber.max_wait
            self._pick(events, batch, size)
            if monotonic() >= (full_at if batch else until):
                break
        return batch

    def _pick(self, events: Sequence[EventRecord], batch: list[EventRecord], size: int) -> None:
        for event in events:
            self._scanned = place_of(event)
            if self._subscription.wants(event):
                batch.append(event)
                if len(batch) == size:
                    return

    def _patience(self) -> float:
        """Return how long to wait for events: until something else is due."""
        waits = [_LONGEST_WAIT]
        if self._due_at is not None:
            waits.append(self._due_at - monotonic())
        if self._scanned > self._advanced:
            waits.append(self._advanced_at + LAZY_SECONDS - monotonic())
        return max(min(waits), 0.0)

    def _is_advance_due(self) -> bool:
        return self._scanned > self._advanced and monotonic() >= self._advanced_at + LAZY_SECONDS

    def _advance_lazily(self, *, at_once: bool = False) -> None:
        if self._is_advance_due() or (at_once and self._scanned > self._advanced):
            with self._session.single() as tx:
                self._advance(tx)

    def _settle(self, batch: Sequence[EventRecord], free: Sequence[EventRecord], answer: Answer) -> None:
        """Advance the cursor, and park what failed or waits behind something parked, in one transaction."""
        called = {place_of(event): number for number, event in enumerate(free[: answer.reached])}
        tried = []
        for event in batch:
            number = called.get(place_of(event))
            error = None if number is None else answer.failures.get(number)
            if error is not None:
                tried.append(self._after_failure(event, error, tries=1, is_final=number in answer.final))
            elif number is None or number in answer.left_out:
                tried.append(behind(event))
        self._count(answer)
        if not tried:
            with self._session.single() as tx:
                self._advance(tx)
            return
        with self._session.transaction() as tx:
            if not self._advance(tx):
                return
            tx.deliveries.park(self._hold.key.subscriber, tried)
            publish_dead_letters(tx, self._hold.key.subscriber, tried)
        self._after_failures(tried)
        self._parked.update(each.event.run_id for each in tried if each.state is DeliveryState.PARKED)

    # -- parked events

    def _load_parked(self) -> None:
        with self._session.single() as tx:
            parked = tx.deliveries.parked_runs(self._hold.key.subscriber)
        self._parked = parked.numbers
        self._due_at = None if parked.due_in is None else monotonic() + parked.due_in

    def _try_again(self) -> None:
        """Try what is due; what was delivered is forgotten, what failed once too often is dead."""
        with self._session.single() as tx:
            due = tx.deliveries.due(self._hold.key.subscriber, self._subscriber.batch_size)
        answer = self._call([each.event for each in due])
        tried = []
        for number, each in enumerate(due[: answer.reached]):
            error = answer.failures.get(number)
            if error is not None:
                is_final = number in answer.final
                tried.append(self._after_failure(each.event, error, tries=each.tries + 1, is_final=is_final))
            elif number not in answer.left_out:
                tried.append(TriedDelivery(event=each.event, state=DeliveryState.DELIVERED, tries=each.tries))
        self._count(answer)
        if tried:
            with self._session.transaction() as tx:
                if not self._advance(tx):
                    return
                tx.deliveries.settle(self._hold.key.subscriber, tried)
                publish_dead_letters(tx, self._hold.key.subscriber, tried)
            self._after_failures(tried)
        self._load_parked()

    # -- both

    def _call(self, events: Sequence[EventRecord]) -> Answer:
        """Hand events over, one by one or as a batch; a batch that fails, one by one to find which."""
        subscriber = self._subscriber
        calls = [Call(argument=event, run_id=event.run_id) for event in events]
        if not subscriber.takes_batches:
            return self._caller.each(subscriber.handle, calls, self._may_go_on)
        if len(events) > 1:
            whole = self._caller.each(subscriber.on_batch, [Call(argument=list(events))], self._may_go_on)
            if whole.reached and not whole.failures:
                return Answer(reached=len(events))
        return self._caller.each(lambda event: subscriber.on_batch([event]), calls, self._may_go_on)

    def _after_failure(self, event: EventRecord, error: StepError, *, tries: int, is_final: bool) -> TriedDelivery:
        most = tries if is_final else self._subscriber.tries
        return after_failure(event, error, tries=tries, most_tries=most, random=self._random)

    def _advance(self, tx: Transaction) -> bool:
        if not tx.cursors.advance(self._hold.key, self._scanned):
            self._hold.lose()
            return False
        self._advanced, self._advanced_at = self._scanned, monotonic()
        return True

    def _count(self, answer: Answer) -> None:
        self._numbers.failed += len(answer.failures)
        self._numbers.delivered += answer.reached - len(answer.failures) - len(answer.left_out)

    def _after_failures(self, tried: Sequence[TriedDelivery]) -> None:
        for each in tried:
            if each.due_in is not None:
                due_at = monotonic() + each.due_in.total_seconds()
                self._due_at = due_at if self._due_at is None else min(self._due_at, due_at)
        failed = [each for each in tried if each.error is not None]
        dead = sum(each.state is DeliveryState.DEAD for each in failed)
        if dead:  # what waited behind them is due now, and the log has the news of them
            self._due_at = monotonic()
            self._hold.tail.ring()
        self._numbers.dead_lettered += dead
        if failed and (error := failed[0].error) is not None:  # one line: in an outage every event fails
            logger.warning(
                "subscriber %s failed on %d event(s), %d of them for the last time; the first was %s %s: %s: %s",
                *(self._hold.key.subscriber, len(failed), dead, failed[0].event.name, failed[0].event.event_id),
                *(error.error_class, error.message),
            )

    def _rest(self) -> None:
        """Deliver nothing while too many calls hang."""
        name = self._hold.key.subscriber
        logger.error("subscriber %s rests: too many of its calls hang; it goes on when one of them ends", name)
        with self._session.single() as tx:
            tx.cursors.rest(self._hold.key, resting=True)
        while not self._is_over():
            if self._caller.wait_for_room(_REST_LOOK):
                logger.warning("subscriber %s goes on", name)
                with self._session.single() as tx:
                    tx.cursors.rest(self._hold.key, resting=False)
                return

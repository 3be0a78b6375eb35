"""Deliveries that failed: parked in the order of their runs, due again, dead, requeued, discarded."""

from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest

from workflow_engine.ids import RunId, new_run_id
from workflow_engine.model.commands import StepError
from workflow_engine.model.records import EventRecord
from workflow_engine.store.deliveries import DeadLetterFilter, DeliveryState, TriedDelivery
from workflow_engine.store.transaction import Store

NAME = "slack"
ERROR = StepError(error_class="ConnectTimeout", message="no answer")
LATER = timedelta(hours=1)
PARKED, DEAD, DELIVERED = DeliveryState.PARKED, DeliveryState.DEAD, DeliveryState.DELIVERED
RUN, OTHER = new_run_id(), new_run_id()


def event(position: int, run_id: RunId | None = RUN) -> EventRecord:
    return EventRecord(
        position=position,
        event_id=str(uuid4()),
        causation_id=None,
        name="run.failed",
        version=1,
        occurred_at=datetime.now(UTC),
        namespace="default",
        workflow="orders",
        workflow_version="1",
        run_id=run_id,
        step=None,
        attempt=None,
        correlation_id="c",
        traceparent=None,
        data={"message": "café", "at": None},
    )


def failed(
    position: int, run_id: RunId | None = RUN, *, due_in: timedelta | None = LATER, tries: int = 1
) -> TriedDelivery:
    return TriedDelivery(event=event(position, run_id), state=PARKED, tries=tries, due_in=due_in, error=ERROR)


def waiting(position: int, run_id: RunId | None = RUN) -> TriedDelivery:
    return TriedDelivery(event=event(position, run_id), state=PARKED, tries=0)


def dead(position: int, run_id: RunId | None = RUN) -> TriedDelivery:
    return TriedDelivery(event=event(position, run_id), state=DEAD, tries=3, error=ERROR)


def park(store: Store, *tried: TriedDelivery, subscriber: str = NAME) -> None:
    with store.single() as tx:
        tx.deliveries.park(subscriber, tried)


def due(store: Store, limit: int = 100) -> list[int | None]:
    with store.single() as tx:
        return [each.event.position for each in tx.deliveries.due(NAME, limit)]


def test_an_event_comes_back_as_it_was_parked(store: Store) -> None:
    parked = failed(1, due_in=None)
    park(store, parked)

    with store.single() as tx:
        (again,) = tx.deliveries.due(NAME, 10)

    assert again.event == parked.event
    assert again.tries == 1


@pytest.mark.parametrize(
    ("tried", "expected"),
    [
        ([failed(1)], []),
        ([failed(1, due_in=timedelta(0))], [1]),
        ([failed(1), waiting(2), waiting(3, OTHER)], [3]),
        ([failed(1, due_in=timedelta(0)), waiting(2)], [1, 2]),
        ([waiting(1), failed(2), waiting(3)], [1]),
        ([failed(1, None), waiting(2, None), failed(3, None, due_in=timedelta(0))], [2, 3]),
        ([dead(1), waiting(2)], [2]),
    ],
    ids=["not yet", "due", "behind", "all of a run", "up to the next that waits", "about no run", "behind a dead one"],
)
def test_an_event_is_due_when_nothing_of_its_run_waits_before_it(
    store: Store, tried: Sequence[TriedDelivery], expected: list[int]
) -> None:
    park(store, *tried)

    assert due(store) == expected


def test_subscribers_do_not_wait_for_each_other(store: Store) -> None:
    park(store, failed(1), subscriber="other")
    park(store, waiting(2))

    assert due(store) == [2]


def test_no_more_are_due_than_asked_for(store: Store) -> None:
    park(store, *[waiting(position) for position in range(1, 6)])

    assert due(store, limit=2) == [1, 2]


def test_what_is_parked_is_counted_by_run_and_known_until_when(store: Store) -> None:
    park(store, failed(1), waiting(2), failed(3, OTHER, due_in=timedelta(minutes=1)), failed(4, None))

    with store.single() as tx:
        parked = tx.deliveries.parked_runs(NAME)

    assert parked.numbers == Counter({RUN: 2, OTHER: 1, None: 1})
    assert parked.due_in == pytest.approx(60, abs=5)


def test_what_waits_behind_nothing_is_due_now(store: Store) -> None:
    park(store, waiting(2), failed(3))

    with store.single() as tx:
        assert tx.deliveries.parked_runs(NAME).due_in == 0
        assert tx.deliveries.parked_runs("nobody").due_in is None


def test_another_try_ends_in_delivery_another_wait_or_death(store: Store) -> None:
    tried = [failed(position, None, due_in=timedelta(0)) for position in (1, 2, 3)]
    park(store, *tried)

    outcomes = zip(tried, [(DELIVERED, None), (PARKED, LATER), (DEAD, None)], strict=True)
    with store.single() as tx:
        tx.deliveries.settle(
            NAME,
            [
                TriedDelivery(event=each.event, state=state, tries=2, due_in=due_in, error=ERROR)
                for each, (state, due_in) in outcomes
            ],
        )
        rows = tx.connection.execute("SELECT position, state, tries FROM deliveries ORDER BY position").fetchall()

    assert [tuple(row) for row in rows] == [(2, "parked", 2), (3, "dead", 2)]


def test_an_event_that_fails_anew_after_a_replay_is_kept_once(store: Store) -> None:
    park(store, dead(1))
    park(store, failed(1))

    with store.single() as tx:
        rows = tx.connection.execute("SELECT state, tries FROM deliveries").fetchall()

    assert [tuple(row) for row in rows] == [("parked", 1)]


def test_dead_letters_are_found_by_subscriber_and_event(store: Store) -> None:
    letters = [dead(1), dead(2)]
    park(store, *letters, failed(3))
    park(store, letters[0], subscriber="other")

    with store.single() as tx:
        everything = tx.deliveries.page_dead_letters()
        own = tx.deliveries.page_dead_letters(subscriber=NAME)
        one = tx.deliveries.page_dead_letters(event_id=letters[0].event.event_id)

    assert [(each.position, each.subscriber) for each in everything] == [(1, "other"), (1, NAME), (2, NAME)]
    assert [each.event_id for each in own] == [each.event.event_id for each in letters]
    assert {each.subscriber for each in one} == {NAME, "other"}
    assert (own[0].error_class, own[0].message, own[0].tries) == ("ConnectTimeout", "no answer", 3)
    assert own[0].envelope["data"] == {"message": "café", "at": None}


def test_a_requeued_dead_letter_is_due_with_all_its_tries_before_it(store: Store) -> None:
    park(store, dead(1), dead(2, OTHER))

    with store.single() as tx:
        number = tx.deliveries.requeue(DeadLetterFilter(subscriber=NAME))
        again = tx.deliveries.due(NAME, 10)

    assert number == Counter({NAME: 2})
    assert [(each.event.position, each.tries) for each in again] == [(1, 0), (2, 0)]


def test_only_the_dead_letters_named_are_requeued_or_discarded(store: Store) -> None:
    letters = [dead(1), dead(2), dead(3)]
    park(store, *letters, failed(4))
    ids = [each.event.event_id for each in letters]

    with store.single() as tx:
        requeued = tx.deliveries.requeue(DeadLetterFilter(event_ids=[ids[0]]))
        discarded = tx.deliveries.discard(DeadLetterFilter(event_ids=[ids[0], ids[1]]))
        left = tx.deliveries.page_dead_letters()

    assert (requeued, discarded) == (Counter({NAME: 1}), Counter({NAME: 1}))
    assert [each.position for each in left] == [3]


def test_going_back_forgets_what_failed_after_it_unless_it_is_the_last_copy(store: Store) -> None:
    with store.single() as tx:
        rows = tx.connection.execute(
            "INSERT INTO events (namespace, name, data) "
            "SELECT 'default', 'run.failed', '{}' FROM generate_series(1, 3) RETURNING id"
        ).fetchall()
        first, second, third = (row.id for row in rows)
        tx.deliveries.park(NAME, [dead(first), dead(second), failed(third), dead(third + 100)])

        tx.deliveries.forget_after(NAME, first)

        left = [row.position for row in tx.connection.execute("SELECT position FROM deliveries ORDER BY position")]
    assert left == [first, third + 100]

"""Several relays, lost connections, and people who reach in: nobody is served twice at a time, nobody is forgotten."""

from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from time import monotonic

import psycopg
import pytest

from tests.support.processes import wait_until
from tests.support.relays import (
    QUICK_LEASE,
    BatchRecorder,
    Raises,
    Recorder,
    any_run,
    append,
    running,
    subscription,
    wait_for,
)
from workflow_engine.embedded.postgres import EmbeddedPostgres
from workflow_engine.engine.listener import Waker
from workflow_engine.errors import DeadLetterNotFound, InvalidInput, SubscriberNotFound
from workflow_engine.relay.calls import Caller
from workflow_engine.relay.commands import DeliveryDesk, DiscardDeliveries, ReplaySubscriber, RequeueDeliveries
from workflow_engine.relay.hold import Hold
from workflow_engine.relay.relay import Relay
from workflow_engine.relay.session import Session
from workflow_engine.relay.tail import Tail
from workflow_engine.relay.turn import Numbers, Turn
from workflow_engine.store import migration
from workflow_engine.store.channels import EVENTS
from workflow_engine.store.database import Database
from workflow_engine.store.deliveries import DeadLetterFilter
from workflow_engine.store.transaction import Store

LEASE = timedelta(minutes=1)
EVERYTHING = DeadLetterFilter()


@pytest.fixture
def desk(store: Store) -> DeliveryDesk:
    return DeliveryDesk(store, namespace="default")


def held(relay: Relay) -> set[str]:
    return {each.name for each in relay.snapshot() if each.is_held}


def recorders(number: int) -> list[Recorder]:
    return [Recorder(f"s{index}") for index in range(number)]


def events_about(store: Store, name: str) -> list[dict[str, object]]:
    with store.single() as tx:
        return [
            row.data for row in tx.connection.execute("SELECT data FROM events WHERE name = %s ORDER BY id", [name])
        ]


def test_two_relays_hold_half_each_and_one_takes_all_when_the_other_stops(store: Store) -> None:
    url = store.database.url
    ones, twos = recorders(5), recorders(5)
    with running(url, *ones) as one:
        wait_until(lambda: len(held(one)) == 5)
        with running(url, *twos) as two:
            wait_until(lambda: (len(held(one)), len(held(two))) == (3, 2), why="they share")
            assert held(one) | held(two) == {subscriber.name for subscriber in ones}
            places = append(store, 20)
            one.wake()
            two.wake()
            wait_until(lambda: sum(len(each.got) for each in ones + twos) == 100, why="all is delivered")
        wait_until(lambda: len(held(one)) == 5, why="the other one gave its own up")

    for first, second in zip(ones, twos, strict=True):
        assert sorted(first.positions + second.positions) == places, "each event went to one of them"


def test_relays_that_know_different_subscribers_serve_them_all(store: Store) -> None:
    url = store.database.url
    with running(url, *recorders(1), Recorder("own")) as one, running(url, *recorders(4)[1:]) as two:
        wait_until(lambda: held(one) == {"s0", "own"} and held(two) == {"s1", "s2", "s3"})


def test_what_a_silent_relay_held_is_anothers_after_the_lease(store: Store) -> None:
    """The silent one is a row: what a killed process leaves."""
    subscriber = Recorder()
    with store.single() as tx:
        tx.cursors.register({"recorder": True})
        tx.cursors.beat("99999999-9999-4999-8999-999999999999", "gone", ["recorder"])
        tx.cursors.take("99999999-9999-4999-8999-999999999999", ["recorder"], limit=1, lease=QUICK_LEASE)
    places = append(store, 3)
    began = monotonic()

    with running(store.database.url, subscriber):
        wait_for(subscriber, places)

    assert monotonic() - began > QUICK_LEASE.total_seconds() - 0.5
    assert subscriber.positions == places


def test_a_relay_whose_cursor_was_taken_over_stops_in_the_middle_of_a_batch(store: Store) -> None:
    places = append(store, 10)
    other = "88888888-8888-4888-8888-888888888888"

    def take_over(event: object) -> None:
        if len(subscriber.calls) == 3:
            with store.single() as tx:
                tx.connection.execute(
                    "UPDATE cursors SET owner = %s, generation = generation + 1, lease_until = now() + interval '1 h'",
                    [other],
                )
            wait_until(lambda: not held(relay), why="the relay has noticed")

    subscriber = Recorder(reaction=take_over)
    with running(store.database.url, subscriber) as relay:
        wait_until(lambda: len(subscriber.got) == 3)
        wait_until(lambda: not held(relay))

    assert subscriber.positions == places[:3]
    with store.single() as tx:
        (cursor,) = tx.cursors.page()
    assert cursor.position == 0, "what the new holder goes on from"


def test_an_expired_hold_delivers_nothing_and_moves_nothing(store: Store) -> None:
    append(store, 3)
    subscriber = Recorder()
    with store.single() as tx:
        hold = a_hold(store, Session(tx), subscriber, until=monotonic() - 1)

        a_turn(hold, subscriber).run()

        assert subscriber.calls == []
        assert [each.position for each in tx.cursors.page()] == [0]


def test_a_relay_whose_connection_is_cut_goes_on_by_itself(store: Store) -> None:
    subscriber = Recorder()
    places = append(store, 5)
    with running(store.database.url, subscriber):
        wait_for(subscriber, places)
        with psycopg.connect(store.database.url, autocommit=True) as connection:
            connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'test relay' "
                "AND datname = current_database()"
            )
        more = append(store, 5)
        wait_for(subscriber, more)

    assert list(dict.fromkeys(subscriber.positions)) == places + more


def test_a_relay_goes_on_when_the_database_is_back(tmp_path: Path) -> None:
    subscriber = Recorder()
    with EmbeddedPostgres(tmp_path / "postgres", fsync=False) as server:
        migration.upgrade(server.url)
        database = Database(server.url)
        store = Store(database)
        places = append(store, 5)
        with running(server.url, subscriber):
            wait_for(subscriber, places)
            database.close()
            server.stop()
            server.start()
            database = Database(server.url)
            more = append(Store(database), 5)
            wait_for(subscriber, more, within=40)
            database.close()

    assert list(dict.fromkeys(subscriber.positions)) == places + more


def test_the_listener_wakes_a_relay(store: Store) -> None:
    subscriber = Recorder()
    with running(store.database.url, subscriber) as relay:
        listener = Waker(store.database, [relay], channel=EVENTS)
        listener.start()
        try:
            wait_until(lambda: held(relay))
            with store.transaction() as tx:
                tx.cursors.ring()
                places = append(store, 2)
            wait_for(subscriber, places)
        finally:
            listener.stop()


def test_a_replay_delivers_again_from_a_position_while_the_relay_runs(store: Store, desk: DeliveryDesk) -> None:
    subscriber = Recorder()
    places = append(store, 10)
    with running(store.database.url, subscriber):
        wait_for(subscriber, places)
        position = desk.replay(ReplaySubscriber(subscriber="recorder", actor="ada@host", after_position=places[4]))
        wait_until(lambda: len(subscriber.got) == 15)

    assert position == places[4]
    assert subscriber.positions == places + places[5:]
    assert events_about(store, "subscriber.replayed") == [
        {"subscriber": "recorder", "from_position": places[4], "actor": "ada@host"}
    ]


def test_a_replay_from_a_time_delivers_what_occurred_since(store: Store, desk: DeliveryDesk) -> None:
    subscriber = Recorder()
    places = append(store, 3)
    since = datetime.now(UTC)
    more = append(store, 3)
    with running(store.database.url, subscriber):
        wait_for(subscriber, places + more)
        desk.replay(ReplaySubscriber(subscriber="recorder", actor="ada@host", since=since))
        wait_until(lambda: len(subscriber.got) == 9)

    assert subscriber.positions == places + more + more


@pytest.mark.parametrize("position", [-1, 1_000_000])
def test_a_replay_from_beyond_the_log_is_refused(store: Store, desk: DeliveryDesk, position: int) -> None:
    with store.single() as tx:
        tx.cursors.register({"a": True})

    with pytest.raises(InvalidInput, match="position: must be between 0 and"):
        desk.replay(ReplaySubscriber(subscriber="a", actor="ada", after_position=position))


def test_a_replay_of_nobody_names_those_there_are(store: Store, desk: DeliveryDesk) -> None:
    with store.single() as tx:
        tx.cursors.register({"slack": True})

    with pytest.raises(SubscriberNotFound, match=r"did you mean .slack.\?"):
        desk.replay(ReplaySubscriber(subscriber="slak", actor="ada", after_position=0))


def test_requeued_dead_letters_are_delivered_and_later_events_of_their_run_wait_for_them(
    store: Store, desk: DeliveryDesk
) -> None:
    class Once(Recorder):
        name = "once"
        tries = 1

    run = any_run()
    bad, good = append(store, 2, run_id=run)
    subscriber = Once("once", reaction=Raises({bad: 1}))
    with running(store.database.url, subscriber) as relay:
        wait_for(subscriber, [good])
        wait_until(desk.dead_letters)
        numbers = desk.requeue(RequeueDeliveries(wanted=EVERYTHING, actor="ada@host"))
        wait_for(subscriber, [bad])
        later = append(store, run_id=run)
        relay.wake()
        wait_for(subscriber, later)

    assert numbers == Counter({"once": 1})
    assert subscriber.positions == [good, bad, *later]
    assert desk.dead_letters() == []
    assert events_about(store, "subscriber.requeued") == [{"subscriber": "once", "deliveries": 1, "actor": "ada@host"}]


def test_discarded_dead_letters_are_gone(store: Store, desk: DeliveryDesk) -> None:
    class Once(Recorder):
        name = "once"
        tries = 1

    places = append(store, 2)
    with running(store.database.url, Once("once", reaction=lambda event: 1 / 0)):
        wait_until(lambda: len(desk.dead_letters()) == 2)
    first, _ = desk.dead_letters()

    numbers = desk.discard(DiscardDeliveries(wanted=DeadLetterFilter(event_ids=[first.event_id]), actor="ada@host"))

    assert numbers == Counter({"once": 1})
    assert [letter.position for letter in desk.dead_letters()] == places[1:]
    assert events_about(store, "subscriber.discarded") == [{"subscriber": "once", "deliveries": 1, "actor": "ada@host"}]


def test_asking_for_dead_letters_that_are_not_there_is_refused_and_nothing_is_published(
    store: Store, desk: DeliveryDesk
) -> None:
    wanted = DeadLetterFilter(subscriber="slack")

    with pytest.raises(DeadLetterNotFound, match="there is no dead letter of subscriber 'slack'"):
        desk.requeue(RequeueDeliveries(wanted=wanted, actor="ada"))
    with pytest.raises(DeadLetterNotFound):
        desk.discard(DiscardDeliveries(wanted=wanted, actor="ada"))
    assert events_about(store, "subscriber.requeued") + events_about(store, "subscriber.discarded") == []


def a_hold(store: Store, session: Session, subscriber: Recorder, *, until: float | None = None) -> Hold:
    """Return a hold whose feed reads the log itself, as nobody reads the tail."""
    with session.single() as tx:
        tx.cursors.register({subscriber.name: True})
        (cursor,) = tx.cursors.take("77777777-7777-4777-8777-777777777777", [subscriber.name], limit=1, lease=LEASE)
        tail = Tail(session, tx.event_log.head(), poll_seconds=60)
    return Hold(cursor, session, tail, until=until or monotonic() + 60)


def a_turn(hold: Hold, subscriber: Recorder) -> Turn:
    caller = Caller(subscriber.name, 30.0)
    return Turn(hold, subscription(subscriber), caller, Numbers(), stopping=lambda: False)


@pytest.mark.parametrize(("bad", "most"), [(0, 2), (1, 3), (5, 3)])
@pytest.mark.parametrize("kind", [Recorder, BatchRecorder])
def test_a_batch_costs_the_same_number_of_statements_whatever_its_size(
    store: Store, count_statements: Callable[[], int], kind: type[Recorder], bad: int, most: int
) -> None:
    counts = []
    for size in (10, 500):
        places = append(store, size, run_id=None)
        subscriber = type("Sized", (kind,), {"batch_size": size, "name": "sized"})(
            f"size{size}", reaction=Raises(always=places[:bad])
        )
        with store.single() as tx:
            tx.connection.execute("TRUNCATE cursors")
            hold = a_hold(store, Session(tx), subscriber)
            tx.cursors.advance(hold.key, places[0] - 1)
            hold.position = places[0] - 1
            turn = a_turn(hold, subscriber)
            turn._load_parked()
            count_statements()

            turn._deliver_next()

            counts.append(count_statements())
            assert [each.position for each in tx.cursors.page()] == [places[-1]]

    assert counts == [most, most]


def test_a_relay_that_stops_while_the_database_is_away_lets_its_subscribers_close(tmp_path: Path) -> None:
    class Closing(Recorder):
        name = "closing"
        is_closed = False

        def closed(self) -> None:
            self.is_closed = True

    subscriber = Closing("closing")
    with EmbeddedPostgres(tmp_path / "postgres", fsync=False) as server:
        migration.upgrade(server.url)
        database = Database(server.url)
        places = append(Store(database), 1)
        database.close()
        with running(server.url, subscriber):
            wait_for(subscriber, places)
            server.stop()

    assert subscriber.is_closed

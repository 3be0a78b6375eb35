"""A relay on a real database: what reaches a subscriber, in which order, and what does not stop it."""

from collections.abc import Callable
from threading import Event as Flag

import pytest

from tests.support.processes import wait_until
from tests.support.relays import (
    BatchRecorder,
    Raises,
    Recorder,
    any_run,
    append,
    append_within,
    running,
    subscription,
    wait_for,
)
from workflow_engine.model.records import EventRecord
from workflow_engine.relay.registry import Subscription
from workflow_engine.store.database import Database
from workflow_engine.store.deliveries import DeadLetter
from workflow_engine.store.transaction import Store


def dead_letters(store: Store) -> list[DeadLetter]:
    with store.single() as tx:
        return tx.deliveries.page_dead_letters()


def position_of(store: Store, name: str = "recorder") -> int:
    with store.single() as tx:
        return next((each.position for each in tx.cursors.page() if each.subscriber == name), -1)


def test_what_is_in_the_log_and_what_comes_is_delivered_in_order(store: Store) -> None:
    subscriber = Recorder()
    places = append(store, 250)

    with running(store.database.url, subscriber) as relay:
        wait_for(subscriber, places)
        places += append(store, 50)
        relay.wake()
        wait_for(subscriber, places)

    assert subscriber.positions == places
    assert position_of(store) == places[-1]


def test_a_relay_that_starts_again_goes_on_where_it_stopped(store: Store) -> None:
    first, second = Recorder(), Recorder()
    places = append(store, 10)
    with running(store.database.url, first):
        wait_for(first, places)
    more = append(store, 10)

    with running(store.database.url, second):
        wait_for(second, more)

    assert second.positions == more


def test_a_new_subscriber_gets_nothing_old_unless_it_asks_for_it(store: Store) -> None:
    class Late(Recorder):
        name = "late"
        start = "now"

    late, early = Late("late"), Recorder("early")
    old = append(store, 5)
    with running(store.database.url, late, early) as relay:
        wait_for(early, old)
        wait_until(lambda: len(relay.snapshot()) == 2)
        new = append(store, 5)
        relay.wake()
        wait_for(late, new)

    assert late.positions == new


def test_without_a_bell_events_are_found_by_polling(store: Store) -> None:
    subscriber = Recorder()
    with running(store.database.url, subscriber, poll_seconds=0.2):
        wait_until(lambda: position_of_any(store))
        places = append(store, 3)

        wait_for(subscriber, places)


def position_of_any(store: Store) -> bool:
    with store.single() as tx:
        return any(each.relay for each in tx.cursors.page())


def test_events_of_a_transaction_that_ends_late_come_before_those_that_follow_them(
    store: Store, database: Database
) -> None:
    subscriber = Recorder()
    with running(store.database.url, subscriber) as relay:
        before = append(store)
        relay.wake()
        wait_for(subscriber, before)
        with database.transaction() as slow:
            held = append_within(slow, 2)
            after = append(store, 2)
            relay.wake()
            wait_until(lambda: relay._tail is not None and relay._tail._backoff._seconds > 0.02, why="it looks again")
            assert subscriber.positions == before

        wait_for(subscriber, after)

    assert subscriber.positions == before + held + after


def test_a_rolled_back_transaction_holds_nobody_up_though_no_bell_rings(store: Store, database: Database) -> None:
    subscriber = Recorder()
    with running(store.database.url, subscriber) as relay:
        before = append(store)
        relay.wake()
        wait_for(subscriber, before)
        with database.connection() as slow:
            slow.execute("BEGIN")
            append_within(slow, 2)
            after = append(store, 2)
            relay.wake()
            slow.execute("ROLLBACK")

        wait_for(subscriber, after)

    assert subscriber.positions == before + after


def test_a_long_transaction_that_appends_nothing_holds_nobody_up(store: Store, database: Database) -> None:
    subscriber = Recorder()
    with running(store.database.url, subscriber), database.transaction() as long:
        long.execute("SELECT pg_current_xact_id()")  # it writes, but not here
        with database.connection() as rolled_back:
            rolled_back.execute("BEGIN")
            append_within(rolled_back)
            rolled_back.execute("ROLLBACK")
        after = append(store)

        wait_for(subscriber, after)


def test_a_failed_event_holds_back_its_run_and_no_other(store: Store) -> None:
    run, other = any_run(), any_run()
    mine = append(store, 3, run_id=run)
    others = append(store, 3, run_id=other)
    later = append(store, 2, run_id=run)
    subscriber = Recorder(reaction=Raises({mine[1]: 1}))

    with running(store.database.url, subscriber):
        wait_for(subscriber, mine + others + later)

    of_run = [event.position for event in subscriber.got if event.run_id == run]
    assert of_run == mine + later
    assert subscriber.positions[:4] == [mine[0], *others]
    assert dead_letters(store) == []


def test_an_event_that_comes_while_its_run_is_parked_waits_behind_it(store: Store) -> None:
    run = any_run()
    (bad,) = append(store, run_id=run)
    subscriber = Recorder(reaction=Raises({bad: 1}))

    with running(store.database.url, subscriber) as relay:
        wait_until(lambda: subscriber.called(bad) == 1)
        later = append(store, 3, run_id=run)
        relay.wake()
        wait_for(subscriber, later)

    assert subscriber.positions == [bad, *later]


def test_an_event_is_tried_three_times_then_it_is_a_dead_letter_and_its_run_goes_on(store: Store) -> None:
    run = any_run()
    bad, *later = append(store, 3, run_id=run)
    subscriber = Recorder(reaction=Raises(always=[bad]))

    with running(store.database.url, subscriber):
        wait_for(subscriber, later)

    assert subscriber.called(bad) == 3
    assert subscriber.positions == later
    (letter,) = dead_letters(store)
    assert (letter.position, letter.tries, letter.error_class) == (bad, 3, "ConnectionError")
    assert letter.message == f"no answer about {bad}"


def test_the_death_of_a_delivery_is_an_event_but_not_of_one_that_is_about_deliveries(store: Store) -> None:
    class Once(Recorder):
        name = "once"
        tries = 1

    append(store)
    subscriber = Once("once", reaction=lambda event: 1 / 0)
    names = frozenset({"run.started", "subscriber.dead_lettered"})

    with running(store.database.url, subscription(subscriber, names)) as relay:
        wait_until(lambda: len(dead_letters(store)) == 2, why="the event, and the one about its death")
        wait_until(lambda: relay.snapshot()[0].lag == 0)

    first, second = dead_letters(store)
    assert second.event_name == "subscriber.dead_lettered"
    assert second.envelope["data"] == {
        "subscriber": "once",
        "event_id": first.event_id,
        "event_name": "run.started",
        "tries": 1,
        "error_class": "ZeroDivisionError",
        "message": "division by zero",
    }


def test_batches_are_no_larger_than_asked_for_and_in_order(store: Store) -> None:
    class Few(BatchRecorder):
        name = "few"
        batch_size = 30

    subscriber = Few("few")
    places = append(store, 100)

    with running(store.database.url, subscriber):
        wait_for(subscriber, places)

    assert [len(batch) for batch in subscriber.batches] == [30, 30, 30, 10]
    assert subscriber.positions == places


def test_of_a_batch_that_fails_only_the_bad_event_is_parked(store: Store) -> None:
    places = append(store, 5)
    subscriber = BatchRecorder(reaction=Raises(always=[places[2]]))

    with running(store.database.url, subscriber):
        wait_until(lambda: [letter.position for letter in dead_letters(store)] == [places[2]])

    assert subscriber.batches[0] == places
    assert subscriber.batches[1:6] == [[place] for place in places]
    assert subscriber.positions == [place for place in places if place != places[2]]


def test_a_batch_waits_a_little_for_more(store: Store) -> None:
    class Patient(BatchRecorder):
        name = "patient"
        batch_size = 4
        max_wait = 30.0

    subscriber = Patient("patient")
    with running(store.database.url, subscriber) as relay:
        places: list[int] = []
        for _ in range(4):
            places += append(store)
            relay.wake()
        wait_for(subscriber, places)

    assert subscriber.batches == [places]


def test_a_relay_that_stops_waits_for_no_fuller_batch_and_leaves_it_to_the_next(
    store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    asked: list[int] = []

    class Waiting(BatchRecorder):
        name = "waiting"
        max_wait = 600.0

    class Asked(Subscription):
        def wants(self, event: EventRecord) -> bool:
            asked.append(event.position or 0)
            return True

    first, second = Waiting("waiting"), Recorder("waiting")
    places = append(store, 3)
    with running(store.database.url, Asked(subscriber=first, names=subscription(first).names)):
        wait_until(lambda: asked == places, why="the batch is begun")

    with running(store.database.url, second):
        wait_for(second, places)

    assert first.batches == []
    assert "took too long" not in caplog.text


def test_an_error_whose_text_cannot_be_stored_is_a_dead_letter_all_the_same(store: Store) -> None:
    class Once(Recorder):
        tries = 1

    def react(event: EventRecord) -> None:
        if event.position == places[0]:
            raise FileNotFoundError("caf\udce9\0")

    places = append(store, 2)
    subscriber = Once(reaction=react)

    with running(store.database.url, subscriber):
        wait_for(subscriber, places[1:])
        (letter,) = wait_until(lambda: dead_letters(store))

    assert (letter.error_class, letter.message) == ("FileNotFoundError", "caf?\N{REPLACEMENT CHARACTER}")


def test_one_that_raises_always_and_one_that_hangs_delay_nobody(store: Store) -> None:
    gate = Flag()
    broken = Recorder("broken", reaction=lambda event: 1 / 0)
    hanging = Recorder("hanging", reaction=lambda event: gate.wait(60))
    sound = Recorder("sound")

    with running(store.database.url, broken, hanging, sound) as relay:
        places = []
        for _ in range(20):
            places += append(store, 10, run_id=any_run())
            relay.wake()
        wait_for(sound, places)
        assert hanging.got == []
        gate.set()

    assert sound.positions == places


class Hasty(Recorder):
    name = "hasty"
    timeout = 0.2


def hangs_on(gate: Flag, *places: int) -> Callable[[EventRecord], object]:
    return lambda event: gate.wait(60) if event.position in places else None


def test_a_call_that_takes_too_long_is_left_behind_and_counts_as_a_failed_try(store: Store) -> None:
    gate = Flag()
    places = append(store, 5)
    subscriber = Hasty("hasty", reaction=hangs_on(gate, places[1]))

    with running(store.database.url, subscriber) as relay:
        wait_for(subscriber, [place for place in places if place != places[1]])
        wait_until(lambda: dead_letters(store), why="it hung three times")
        assert subscriber.positions == [place for place in places if place != places[1]]
        assert relay.snapshot()[0].failed == 3
        gate.set()

    (letter,) = dead_letters(store)
    assert (letter.error_class, letter.message) == ("TimeoutError", "took longer than 0.2 s")


def test_a_subscriber_with_too_many_hanging_calls_rests_until_one_ends(store: Store) -> None:
    gate = Flag()
    places = append(store, 12)
    subscriber = Hasty("hasty", reaction=hangs_on(gate, *places[:10]))

    with running(store.database.url, subscriber) as relay:
        wait_until(lambda: [each for each in relay.snapshot() if each.is_resting], why="it rests")
        called = len(subscriber.calls)
        gate.set()
        wait_for(subscriber, places[10:])
        wait_until(lambda: not relay.snapshot()[0].is_resting)

    assert called == 8


def test_a_subscriber_that_cannot_open_gets_nothing_until_it_can(store: Store) -> None:
    class Opening(Recorder):
        name = "opening"
        failures = 1
        steps: list[str] = []  # noqa: RUF012 - one test's own

        def opened(self) -> None:
            self.steps.append("opened")
            if len(self.steps) == 1:
                raise ConnectionError

        def closed(self) -> None:
            self.steps.append("closed")

    subscriber = Opening("opening")
    places = append(store, 3)
    with running(store.database.url, subscriber):
        wait_for(subscriber, places)

    assert subscriber.steps == ["opened", "opened", "closed"]


def test_what_nobody_wants_moves_the_cursor_all_the_same(store: Store) -> None:
    subscriber = Recorder()
    with running(store.database.url, subscriber) as relay:
        places = append(store, 20, name="step.started")
        relay.wake()
        wait_until(lambda: position_of(store) == places[-1])

    assert subscriber.got == []


def test_numbers_say_where_everybody_stands(store: Store) -> None:
    gate = Flag()
    places = append(store, 5)
    waiting = Recorder("waiting", reaction=lambda event: gate.wait(60))
    sound = Recorder("sound")

    with running(store.database.url, waiting, sound) as relay:
        wait_for(sound, places)
        wait_until(lambda: {each.name: each.lag for each in relay.snapshot()}["sound"] == 0)
        found = {each.name: each for each in relay.snapshot()}
        gate.set()

    assert (found["sound"].delivered, found["sound"].lag, found["sound"].lag_seconds) == (5, 0, 0.0)
    assert found["waiting"].is_held
    assert found["waiting"].lag == places[-1]
    assert found["waiting"].lag_seconds > 0


def test_a_relay_without_subscribers_says_how_to_name_some(store: Store, caplog: pytest.LogCaptureFixture) -> None:
    with running(store.database.url):
        wait_until(lambda: "WFE_SUBSCRIBERS" in caplog.text)

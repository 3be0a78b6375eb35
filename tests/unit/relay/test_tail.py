"""In what order the tail hands events on: whatever commits when, each once, in the log's order, none skipped."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import pairwise
from random import Random
from threading import RLock

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.processes import wait_until
from tests.support.relays import logged_event as event
from workflow_engine.model.horizon import PREPARED, Horizon
from workflow_engine.model.records import EventRecord
from workflow_engine.relay.order import Window, in_order
from workflow_engine.relay.tail import FIRST_LOOK, LAST_LOOK, Backoff, Feed, Look, Tail


def places(events: Sequence[EventRecord]) -> list[int]:
    return [each.position or 0 for each in events]


@dataclass
class Writer:
    """A transaction that appends events."""

    name: str
    places: list[int] = field(default_factory=list)


@dataclass
class FakeLog:
    """The log, its writers, and what the tail asks of both; anything may happen between two of its questions."""

    random: Random
    next_place: int = 1
    next_writer: int = 1
    committed: list[int] = field(default_factory=list)
    writing: list[Writer] = field(default_factory=list)
    chance: float = 0.0
    """That something happens before a question is answered."""

    def happen(self) -> None:
        what = self.random.choice(["begin", "append", "append", "commit", "rollback"])
        if what == "begin" or not self.writing:
            self.writing.append(Writer(f"w{self.next_writer}"))
            self.next_writer += 1
            return
        writer = self.random.choice(self.writing)
        if what == "append":
            writer.places.append(self.next_place)
            self.next_place += 1
            return
        self.writing.remove(writer)
        if what == "commit":
            self.committed = sorted([*self.committed, *writer.places])

    def end_all(self) -> None:
        for writer in self.writing:
            self.committed = sorted([*self.committed, *writer.places])
        self.writing.clear()

    def read(self, after: int, limit: int) -> list[EventRecord]:
        self._go_on()
        return [event(place) for place in self.committed if place > after][:limit]

    def head(self) -> int:
        self._go_on()
        return max(self.committed, default=0)

    def writers(self) -> frozenset[str]:
        self._go_on()
        return frozenset(writer.name for writer in self.writing)

    def _go_on(self) -> None:
        while self.random.random() < self.chance:
            self.happen()


@given(st.integers(), st.floats(0.0, 0.9), st.integers(5, 80))
def test_every_committed_event_is_handed_on_once_and_in_order(seed: int, chance: float, looks: int) -> None:
    log = FakeLog(Random(seed), chance=chance)
    tail = Tail(log, 0, poll_seconds=1)
    handed: list[int] = []
    for _ in range(looks):
        log.happen()
        handed += places(tail.look(handed[-1] if handed else 0).events)
    log.chance = 0.0
    log.end_all()
    for _ in range(3):
        handed += places(tail.look(handed[-1] if handed else 0).events)

    assert handed == log.committed


@given(st.integers(), st.integers(1, 60))
def test_readers_far_apart_share_what_is_settled(seed: int, steps: int) -> None:
    random = Random(seed)
    log = FakeLog(random, chance=0.5)
    tail = Tail(log, 0, poll_seconds=1)
    handed: list[list[int]] = [[], [], []]
    for _ in range(steps):
        reader = random.choice(handed)
        reader.extend(places(tail.look(reader[-1] if reader else 0).events))
    log.chance = 0.0
    log.end_all()
    for reader in handed * 3:
        reader.extend(places(tail.look(reader[-1] if reader else 0).events))

    assert handed == [log.committed] * 3


def test_a_gap_that_its_writer_may_still_fill_holds_back_what_follows() -> None:
    log = FakeLog(Random(0), committed=[1, 3, 4], writing=[Writer("w", [2])])
    tail = Tail(log, 0, poll_seconds=1)

    first = tail.look(0)
    log.end_all()
    second = tail.look(1)

    assert places(first.events) == [1]
    assert first.is_blocked
    assert places(second.events) == [2, 3, 4]


def test_a_gap_left_by_a_rollback_is_passed_after_one_more_look() -> None:
    log = FakeLog(Random(0), committed=[1, 3, 4])
    tail = Tail(log, 0, poll_seconds=1)

    first, second = tail.look(0), tail.look(1)

    assert places(first.events) == [1]
    assert not first.is_blocked
    assert places(second.events) == [3, 4]


def test_writers_that_came_later_do_not_hold_a_gap_open() -> None:
    horizon = Horizon()
    horizon.observe(10, frozenset({"early"}))

    horizon.observe(20, frozenset({"late"}))

    assert horizon.settled == 10


def test_a_prepared_transaction_keeps_every_gap_open() -> None:
    """It may be one of those that were seen under another name."""
    horizon = Horizon()
    horizon.observe(10, frozenset({"w"}))

    horizon.observe(20, frozenset({PREPARED}))
    before = horizon.settled
    horizon.observe(30, frozenset())

    assert (before, horizon.settled) == (0, 30)


def test_a_horizon_that_waits_long_remembers_little() -> None:
    horizon = Horizon()
    for place in range(1, 1_000):
        horizon.observe(place, frozenset({"slow", f"w{place}"}))
    remembered = len(horizon._waits)

    horizon.observe(1_000, frozenset({"other"}))

    assert remembered <= 32
    assert horizon.settled == 999


@given(st.lists(st.integers(1, 400), unique=True, max_size=60), st.integers(0, 400), st.integers(0, 400))
def test_what_is_in_order_has_no_open_gap(chosen: list[int], after: int, settled: int) -> None:
    page = [event(place) for place in sorted(chosen) if place > after]

    handed = places(in_order(page, after=after, settled=settled))

    assert handed == places(page)[: len(handed)]
    assert all(second - 1 <= max(first, settled) for first, second in pairwise([after, *handed])), (
        "no gap that is not settled"
    )
    if len(handed) < len(page):
        assert places(page)[len(handed)] - 1 > max(settled, [after, *handed][-1])


@given(st.lists(st.integers(1, 30), max_size=30), st.integers(1, 20))
def test_a_window_gives_what_follows_wherever_it_covers(sizes: list[int], size: int) -> None:
    window, last = Window(0, size=size), 0
    for number in sizes:
        window.extend([event(place) for place in range(last + 1, last + number + 1)])
        last += number

    assert window.position == last
    assert len(window) <= 2 * size + 30
    for position in range(window.floor, last + 1):
        assert places(window.after(position, 7)) == list(range(position + 1, min(position + 7, last) + 1))


def test_a_gap_is_looked_at_ever_more_seldom() -> None:
    backoff = Backoff()
    blocked = Look(events=[], is_blocked=True, is_full=True)

    waits = [backoff.next(blocked, 30) for _ in range(10)]
    backoff.next(Look(events=[event(1)], is_blocked=False, is_full=False), 30)

    assert waits[:3] == [FIRST_LOOK, 2 * FIRST_LOOK, 4 * FIRST_LOOK]
    assert waits[-1] == LAST_LOOK
    assert backoff.next(blocked, 30) == FIRST_LOOK


@pytest.mark.parametrize(("is_full", "pause"), [(True, 0.0), (False, 30.0)])
def test_without_a_gap_it_reads_on_if_there_is_more(is_full: bool, pause: float) -> None:
    look = Look(events=[event(1)], is_blocked=False, is_full=is_full)

    assert Backoff().next(look, 30.0) == pause


def test_a_feed_near_the_head_and_one_far_behind_get_the_same_events() -> None:
    log = FakeLog(Random(0), committed=list(range(1, 3_001)))
    tail = Tail(log, 2_000, poll_seconds=60)
    tail.start()
    near, far = [2_000], [0]
    feeds = [(Feed(tail), near), (Feed(tail), far)]
    while near[-1] < 3_000 or far[-1] < 3_000:
        for feed, got in feeds:
            got.extend(places(feed.after(got[-1], 100, wait=0.5 if got[-1] < 3_000 else 0)))
    tail.close()

    assert near == list(range(2_000, 3_001))
    assert far == list(range(3_001))


def test_a_feed_whose_place_was_dropped_from_memory_reads_the_log() -> None:
    log = FakeLog(Random(0), committed=list(range(1, 101)))
    tail = Tail(log, 0, poll_seconds=60)
    tail.start()
    feed = Feed(tail)
    first = places(feed.after(0, 10, wait=5))

    tail.begin_at(50_000)
    second = places(feed.after(10, 10, wait=5))
    tail.close()

    assert first + second == list(range(1, 21))


def test_whoever_waits_at_the_tail_is_told_when_it_closes() -> None:
    tail = Tail(FakeLog(Random(0)), 0, poll_seconds=60)
    tail.close()

    assert Feed(tail).after(0, 10, wait=3_600) == []


# Waiting for enough


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(8) as made:
        yield made


@pytest.fixture
def log() -> FakeLog:
    return FakeLog(Random(0))


@pytest.fixture
def tail(pool: ThreadPoolExecutor, log: FakeLog) -> Iterator[Tail]:
    """A tail that reads when it is rung only; whoever still waits at the end is let go."""
    made = Tail(log, 0, poll_seconds=3_600)
    made.start()
    yield made
    made.close()


def wait_for_waiters(tail: Tail, number: int) -> None:
    wait_until(lambda: len(tail._waiting._conditions) == number, why=f"{number} wait at the tail")


def reach(log: FakeLog, tail: Tail, *committed: int) -> None:
    """Commit events, ring, and wait until the tail has read them."""
    log.committed = [*log.committed, *committed]
    tail.ring()
    wait_until(lambda: tail._window.position == committed[-1], why="the tail has read on")


def test_nobody_is_woken_for_less_than_enough(tail: Tail, log: FakeLog, pool: ThreadPoolExecutor) -> None:
    few, many = pool.submit(Feed(tail).after, 0, 10, wait=60), pool.submit(Feed(tail).after, 0, 10, wait=60, enough=3)
    wait_for_waiters(tail, 2)

    reach(log, tail, 1, 2)
    first = places(few.result(60))
    waits_on = not many.done()
    reach(log, tail, 3)

    assert first == [1, 2]
    assert waits_on
    assert places(many.result(60)) == [1, 2, 3]


def test_at_the_end_of_the_wait_there_is_what_there_is(tail: Tail, log: FakeLog) -> None:
    log.committed = [1, 2]
    Feed(tail).after(0, 10, wait=60)

    assert places(Feed(tail).after(0, 10, wait=0.01, enough=1_000)) == [1, 2]
    assert places(Feed(tail).after(2, 10, wait=0.01, enough=1_000)) == []


def test_places_that_a_rollback_left_empty_count_towards_enough(
    tail: Tail, log: FakeLog, pool: ThreadPoolExecutor
) -> None:
    """Whoever waits gets fewer, and asks again."""
    waiter = pool.submit(Feed(tail).after, 0, 10, wait=60, enough=5)
    wait_for_waiters(tail, 1)

    reach(log, tail, 1, 5)

    assert places(waiter.result(60)) == [1, 5]


def test_an_open_gap_is_not_enough(tail: Tail, log: FakeLog, pool: ThreadPoolExecutor) -> None:
    log.writing = [Writer("w", [2])]
    log.committed = [1, 3, 4]
    waiter = pool.submit(Feed(tail).after, 0, 10, wait=60, enough=4)
    wait_until(lambda: tail._window.position == 1, why="the tail has come to the gap")
    wait_for_waiters(tail, 1)

    log.committed = [1, 2, 3, 4]
    log.writing = []

    assert places(waiter.result(60)) == [1, 2, 3, 4]


def test_a_ring_that_nobody_waited_for_is_heard_by_the_next(tail: Tail, log: FakeLog, pool: ThreadPoolExecutor) -> None:
    Feed(tail).after(0, 10, wait=0.01)
    log.committed = [1]
    tail.ring()

    assert places(Feed(tail).after(0, 10, wait=60)) == [1]


def test_who_waits_while_the_tail_goes_far_ahead_reads_the_log(
    tail: Tail, log: FakeLog, pool: ThreadPoolExecutor
) -> None:
    waiter = pool.submit(Feed(tail).after, 0, 10, wait=60, enough=100)
    wait_for_waiters(tail, 1)

    log.committed = [1, 2]
    tail.begin_at(50_000)

    assert places(waiter.result(60)) == [1, 2]


@pytest.mark.parametrize("enough", [1, 1_000])
def test_who_waits_when_the_tail_closes_gets_what_there_is(
    tail: Tail, log: FakeLog, pool: ThreadPoolExecutor, enough: int
) -> None:
    waiters = [pool.submit(Feed(tail).after, 0, 10, wait=3_600, enough=enough) for _ in range(4)]
    wait_for_waiters(tail, 4)

    tail.close()

    assert [waiter.result(60) for waiter in waiters] == [[]] * 4
    wait_for_waiters(tail, 0)


def test_a_nudge_lets_only_those_go_who_should(tail: Tail, log: FakeLog, pool: ThreadPoolExecutor) -> None:
    stopped: list[int] = []
    going = pool.submit(Feed(tail).after, 0, 10, wait=3_600, stopped=lambda: bool(stopped), enough=10)
    staying = pool.submit(Feed(tail).after, 0, 10, wait=3_600, enough=10)
    wait_for_waiters(tail, 2)
    stopped.append(1)

    tail.nudge()

    assert going.result(60) == []
    wait_for_waiters(tail, 1)
    assert not staying.done()


def test_a_feed_that_finds_nothing_behind_the_tail_looks_again_without_a_bell() -> None:
    """Retention may have dropped what was between it and the tail."""
    log = FakeLog(Random(0))
    tail = Tail(log, 100_000, poll_seconds=0.01)
    feed = Feed(tail)

    nothing = feed.after(5, 10, wait=3_600)
    log.committed = [100_001]
    gap, found = feed.after(5, 10, wait=3_600), feed.after(5, 10, wait=3_600)

    assert (nothing, gap, places(found)) == ([], [], [100_001])


@dataclass
class SharedLog(FakeLog):
    """The same for several threads: one thing at a time."""

    lock: RLock = field(default_factory=RLock)

    def happen(self) -> None:
        with self.lock:
            super().happen()

    def end_all(self) -> None:
        with self.lock:
            super().end_all()

    def read(self, after: int, limit: int) -> list[EventRecord]:
        with self.lock:
            return super().read(after, limit)

    def writers(self) -> frozenset[str]:
        with self.lock:
            return super().writers()


@pytest.mark.parametrize("seed", range(4))
def test_many_who_wait_for_different_numbers_all_get_everything(pool: ThreadPoolExecutor, seed: int) -> None:
    log = SharedLog(Random(seed))
    tail = Tail(log, 0, poll_seconds=0.05)
    tail.start()
    ended: list[int] = []

    def read(own: int) -> list[int]:
        random, feed, got = Random(own), Feed(tail), list[int]()
        while not ended or not log.committed or (got or [0])[-1] < log.committed[-1]:
            position = got[-1] if got else 0
            got += places(feed.after(position, random.randint(1, 99), wait=0.05, enough=random.randint(1, 40)))
        return got

    readers = [pool.submit(read, own) for own in range(6)]
    for _ in range(2_000):
        log.happen()
        tail.ring()
    log.end_all()
    ended.append(1)
    tail.ring()
    handed = [reader.result(60) for reader in readers]
    tail.close()

    assert handed == [log.committed] * 6

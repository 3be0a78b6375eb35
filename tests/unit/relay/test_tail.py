"""In what order the tail hands events on: whatever commits when, each once, in the log's order, none skipped."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.relays import logged_event as event
from workflow_engine.model.records import EventRecord
from workflow_engine.relay.order import PREPARED, Horizon, Window, in_order
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

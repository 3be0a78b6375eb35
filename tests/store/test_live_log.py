"""The live log is read while somebody watches, without a gap, and not at all while nobody does."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import pytest

from tests.support.processes import wait_until
from tests.support.relays import append_within
from workflow_engine.relay.live import LiveLog, Told
from workflow_engine.relay.order import place_of
from workflow_engine.store.channels import EVENTS, Notifier
from workflow_engine.store.database import Database
from workflow_engine.store.transaction import Store


@dataclass
class Watching:
    """Keeps what it is told."""

    begun: list[int] = field(default_factory=list)
    places: list[int] = field(default_factory=list)

    def begin(self, position: int) -> None:
        self.begun.append(position)

    def tell(self, page: Sequence[Told]) -> None:
        self.places += [place_of(told.event) for told in page]


@pytest.fixture
def watching() -> Watching:
    return Watching()


@pytest.fixture
def log(store: Store, watching: Watching) -> Iterator[LiveLog]:
    """The log on connections of its own, which it closes, still asleep."""
    made = LiveLog(Store(Database(store.database.url)), poll_seconds=60)
    made.start(watching)
    yield made
    made.stop()


def tell(database: Database, number: int) -> list[int]:
    with database.connection() as connection:
        places = append_within(connection, number)
    notifier = Notifier(database, EVENTS)
    notifier.notify()
    notifier.close()
    return places


def readers(database: Database) -> int:
    """How many other connections there are to the database."""
    with database.connection() as connection:
        row = connection.execute(
            b"SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND query LIKE 'LISTEN %'"
        ).fetchone()
        return int(row[0]) if row else 0


def test_what_happens_before_it_is_woken_is_nobodys(log: LiveLog, watching: Watching, database: Database) -> None:
    before = tell(database, 3)

    assert readers(database) == 0
    assert log.wake()
    wait_until(lambda: watching.begun)
    after = tell(database, 3)
    wait_until(lambda: len(watching.places) >= 3)

    assert watching.begun == before[-1:]
    assert watching.places == after


def test_it_rests_when_it_is_told_to_and_begins_anew(log: LiveLog, watching: Watching, database: Database) -> None:
    log.wake()
    wait_until(lambda: watching.begun)
    assert readers(database) == 1
    log.rest()
    wait_until(lambda: readers(database) == 0, why="it listens no more")
    missed = tell(database, 3)

    assert log.wake()
    wait_until(lambda: len(watching.begun) == 2)
    after = tell(database, 3)
    wait_until(lambda: watching.places)

    assert watching.begun[-1] == missed[-1]
    assert watching.places == after


def test_whoever_wakes_it_again_at_once_misses_nothing(log: LiveLog, watching: Watching, database: Database) -> None:
    log.wake()
    wait_until(lambda: watching.begun)
    told: list[int] = []

    for turn in range(1, 6):
        begun = len(watching.begun)
        log.rest()
        if log.wake():  # it has rested already
            wait_until(lambda begun=begun: len(watching.begun) > begun)
        told += tell(database, 2)
        wait_until(lambda turn=turn: len(watching.places) >= 2 * turn)

    assert watching.places == told

"""The janitor: partitions are there before they are needed, and go when their time is over."""

import logging
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from threading import Barrier, Thread
from threading import Event as Flag

import psycopg
import pytest

from tests.support.audits import events
from tests.support.processes import wait_until
from workflow_engine import Engine, Settings
from workflow_engine.engine.audit_desk import AuditDesk
from workflow_engine.engine.janitor import SOON, Deed, JanitorService, Upkeep
from workflow_engine.store.partitions import AUDIT_LOG, EVENT_LOG, Month, PartitionedTable
from workflow_engine.store.transaction import Store
from workflow_engine.subscribers.audit import AuditSubscriber

DECEMBER = datetime(2098, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC)
"""Far enough from this month that partitions made by the migration are out of sight."""
KEEP = timedelta(days=90)


class HeldClock:
    """A clock that stands still."""

    def __init__(self, moment: datetime) -> None:
        self.moment = moment

    def now(self) -> datetime:
        return self.moment


def janitor(store: Store, now: datetime = DECEMBER, *, keep: timedelta = timedelta(days=36_500)) -> JanitorService:
    return JanitorService(store, HeldClock(now), keep={EVENT_LOG: keep, AUDIT_LOG: keep})


def months(store: Store, table: PartitionedTable = EVENT_LOG, since: int = 2098) -> list[str]:
    with store.transaction() as tx:
        return [str(month) for month in tx.partitions.months(table) if month.year >= since]


def add_events(store: Store, *moments: datetime) -> None:
    with store.single() as tx:
        for moment in moments:
            tx.connection.execute(
                "INSERT INTO events (namespace, name, occurred_at, data) VALUES ('default', 'run.started', %s, '{}')",
                [moment],
            )


def count(store: Store, table: str) -> int:
    with store.single() as tx:
        (row,) = tx.connection.execute(f"SELECT count(*) AS number FROM {table}".encode()).fetchall()
    return int(row.number)


def deeds(done: list[Upkeep], deed: Deed) -> list[str]:
    return [each.partition for each in done if each.deed is deed]


@pytest.mark.parametrize("table", [EVENT_LOG, AUDIT_LOG], ids=lambda table: table.name)
def test_this_months_and_three_more_partitions_are_made_across_the_turn_of_the_year(
    own_store: Store, table: PartitionedTable
) -> None:
    done = janitor(own_store).tidy()

    assert months(own_store, table) == ["2098-12", "2099-01", "2099-02", "2099-03"]
    assert table.partition(Month(year=2099, month=1)) in deeds(done, Deed.MADE)


def test_a_microsecond_later_it_is_the_next_month(own_store: Store) -> None:
    janitor(own_store).tidy()

    done = janitor(own_store, DECEMBER + timedelta(microseconds=1)).tidy()

    assert deeds(done, Deed.MADE) == ["events_2099_04", "audit_log_2099_04"]


def test_a_second_round_finds_nothing_to_do(own_store: Store) -> None:
    janitor(own_store).tidy()

    assert janitor(own_store).tidy() == []
    assert janitor(own_store).run_once() is None


def test_rows_of_any_month_leave_the_default_partition(own_store: Store, caplog: pytest.LogCaptureFixture) -> None:
    add_events(own_store, DECEMBER, DECEMBER, datetime(2098, 2, 28, tzinfo=UTC), datetime(2099, 12, 1, tzinfo=UTC))

    with caplog.at_level(logging.WARNING):
        janitor(own_store).run_once()

    assert count(own_store, "events_default") == 0
    assert count(own_store, "events_2098_12") == 2
    assert count(own_store, "events_2098_02") == count(own_store, "events_2099_12") == 1
    assert "events_2098_12 was made late: 2 rows" in caplog.text


def test_audit_rows_move_and_verify_as_before(own_store: Store) -> None:
    AuditSubscriber(own_store).on_batch(events(50, DECEMBER - timedelta(seconds=25)))

    janitor(own_store).tidy()

    assert count(own_store, "audit_log_default") == 0
    assert (count(own_store, "audit_log_2098_12"), count(own_store, "audit_log_2099_01")) == (26, 24)
    assert AuditDesk(own_store).verify().flaw is None


def test_a_dry_run_says_all_and_does_nothing(own_store: Store) -> None:
    add_events(own_store, datetime(2098, 5, 1, tzinfo=UTC))
    before = months(own_store, since=0)

    done = janitor(own_store, keep=KEEP).tidy(dry_run=True)

    assert months(own_store, since=0) == before
    assert count(own_store, "events_default") == 1
    assert deeds(done, Deed.MADE)[:3] == ["events_2098_05", "events_2098_12", "events_2099_01"]
    assert deeds(done, Deed.DROPPED)[:4] == [EVENT_LOG.partition(Month.of(_month(each))) for each in before]


def _month(text: str) -> datetime:
    return datetime.strptime(text, "%Y-%m").replace(tzinfo=UTC)


def test_a_month_is_dropped_once_its_last_moment_is_past_its_time(own_store: Store) -> None:
    janitor(own_store).tidy()
    end = datetime(2099, 1, 1, tzinfo=UTC)

    early = janitor(own_store, end + KEEP - timedelta(microseconds=1), keep=KEEP).tidy()
    late = janitor(own_store, end + KEEP, keep=KEEP).tidy()

    assert "events_2098_12" not in deeds(early, Deed.DROPPED)
    assert deeds(late, Deed.DROPPED) == ["events_2098_12", "audit_log_2098_12"]
    assert months(own_store) == ["2099-01", "2099-02", "2099-03", "2099-04", "2099-05", "2099-06", "2099-07"]


def test_rows_in_the_default_partition_that_are_past_their_time_go_too(own_store: Store) -> None:
    add_events(own_store, datetime(2098, 1, 15, tzinfo=UTC), DECEMBER)

    janitor(own_store, keep=KEEP).tidy()

    assert months(own_store)[0] == "2098-12"
    assert count(own_store, "events") == 1


def test_what_an_active_subscriber_has_not_had_is_kept(own_store: Store, caplog: pytest.LogCaptureFixture) -> None:
    add_events(own_store, *(datetime(2098, month, 15, tzinfo=UTC) for month in (1, 2, 3)))
    with own_store.single() as tx:
        tx.cursors.register({"slack": True, "audit": True})
        tx.connection.execute("UPDATE cursors SET position = 1")
        tx.connection.execute("UPDATE cursors SET position = 9 WHERE subscriber = 'audit'")

    with caplog.at_level(logging.WARNING):
        janitor(own_store, keep=KEEP).run_once()

    assert months(own_store)[:3] == ["2098-02", "2098-03", "2098-12"]
    assert "events_2098_02 is past its time, but kept: slack did not get all of it" in caplog.text


@pytest.mark.parametrize(("is_held", "first"), [(False, "2098-12"), (True, "2098-01")])
def test_a_subscriber_that_was_away_for_a_month_is_not_waited_for(own_store: Store, is_held: bool, first: str) -> None:
    add_events(own_store, datetime(2098, 1, 15, tzinfo=UTC))
    with own_store.single() as tx:
        tx.cursors.register({"slack": True})
        tx.connection.execute("UPDATE cursors SET advanced_at = clock_timestamp() - interval '31 days'")
        if is_held:
            tx.connection.execute(
                "UPDATE cursors SET owner = gen_random_uuid(), lease_until = clock_timestamp() + interval '5 s'"
            )

    janitor(own_store, keep=KEEP).tidy()

    assert months(own_store)[0] == first


def test_while_another_janitor_is_at_work_this_one_leaves_it_to_it(own_store: Store) -> None:
    with own_store.transaction() as other:
        assert other.partitions.lock()

        assert janitor(own_store).tidy() == []
        assert janitor(own_store).run_once() is None

    assert months(own_store) == []


def test_two_janitors_at_once_do_everything_once(own_store: Store) -> None:
    begin = Barrier(2)

    def tidy() -> list[Upkeep]:
        begin.wait()
        return janitor(own_store, keep=KEEP).tidy()

    with ThreadPoolExecutor(2) as pool:
        done = [each for future in [pool.submit(tidy), pool.submit(tidy)] for each in future.result()]
    janitor(own_store, keep=KEEP).tidy()  # what one left to the other, which was past it

    assert len({each.partition for each in done}) == len(done)
    assert {each.deed for each in done} == {Deed.MADE, Deed.DROPPED}
    assert months(own_store, since=0) == ["2098-12", "2099-01", "2099-02", "2099-03"]


def test_somebody_in_the_way_is_tried_again_soon(own_store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("workflow_engine.store.partitions._PATIENCE", timedelta(milliseconds=20))
    with psycopg.connect(own_store.database.url) as reader:
        reader.execute("SELECT count(*) FROM events")
        assert janitor(own_store).run_once() == SOON

    assert months(own_store) == []
    assert janitor(own_store).run_once() is None
    assert len(months(own_store)) == 4


def test_writers_and_readers_at_work_lose_nothing_while_partitions_come_and_go(own_store: Store) -> None:
    now = datetime.now(UTC)
    old = [now.replace(day=1) - timedelta(days=40 * number) for number in range(6, 10)]
    add_events(own_store, *old)
    done = Flag()

    def write() -> int:
        number = 0
        while not done.is_set():
            add_events(own_store, datetime.now(UTC), DECEMBER)
            number += 2
        return number

    def read() -> None:
        while not done.is_set():
            assert count(own_store, "events") >= 0

    with ThreadPoolExecutor() as pool:
        writers = [pool.submit(write) for _ in range(2)]
        reading = pool.submit(read)
        try:
            for moment in (now, DECEMBER, DECEMBER + timedelta(days=200)):
                service = janitor(own_store, moment)
                while service.run_once() is not None:
                    pass
            service = janitor(own_store, now, keep=KEEP)
            while service.run_once() is not None:
                pass
        finally:
            done.set()
        written = sum(writer.result() for writer in writers)
        reading.result()

    assert count(own_store, "events_default") == 0
    assert count(own_store, "events") == written


def test_a_coordinator_looks_after_the_partitions(own_store: Store, broker_url: str) -> None:
    add_events(own_store, DECEMBER)
    engine = Engine(Settings(database_url=own_store.database.url, broker_url=broker_url))
    coordinator = engine.coordinator()
    thread = Thread(target=coordinator.run)
    thread.start()
    try:
        wait_until(lambda: months(own_store) == ["2098-12"], within=20, why="it looks when it starts")
    finally:
        coordinator.stop()
        thread.join()
        engine.close()

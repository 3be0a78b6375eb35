"""Partitions: what a month is, and that making and dropping one changes nothing else."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta, timezone
from itertools import pairwise
from threading import Event as Flag
from typing import Any

import psycopg
import pytest

from workflow_engine.store.partitions import AUDIT_LOG, EVENT_LOG, Month, PartitionedTable
from workflow_engine.store.transaction import Store

FAR = Month(year=2099, month=12)
PARTITIONED = pytest.mark.parametrize("table", [EVENT_LOG, AUDIT_LOG], ids=lambda table: table.name)


def make(store: Store, table: PartitionedTable, month: Month, *, is_written: bool = True) -> int | None:
    with store.transaction() as tx:
        return tx.partitions.make(table, month, is_written=is_written)


def drop(store: Store, table: PartitionedTable, month: Month) -> bool:
    with store.transaction() as tx:
        return tx.partitions.drop(table, month)


def months(store: Store, table: PartitionedTable) -> list[Month]:
    with store.transaction() as tx:
        return tx.partitions.months(table)


def add_event(store: Store, moment: datetime) -> None:
    with store.single() as tx:
        tx.connection.execute(
            "INSERT INTO events (namespace, name, occurred_at, data) VALUES ('default', 'run.started', %s, '{}')",
            [moment],
        )


def events_in(store: Store, partition: str) -> int:
    with store.single() as tx:
        (row,) = tx.connection.execute(f"SELECT count(*) AS number FROM {partition}".encode()).fetchall()
    return int(row.number)


@contextmanager
def reader(store: Store, table: PartitionedTable) -> Iterator[psycopg.Connection[Any]]:
    """Somebody who reads the table and does not come to an end."""
    with psycopg.connect(store.database.url) as connection:
        connection.execute(f"SELECT count(*) FROM {table.name}".encode())
        yield connection


def test_december_is_followed_by_january() -> None:
    month = Month(year=2026, month=12)

    assert month.next == Month(year=2027, month=1)
    assert month.end == datetime(2027, 1, 1, tzinfo=UTC)
    assert EVENT_LOG.partition(month) == "events_2026_12"


def test_a_moment_is_in_the_month_that_utc_says() -> None:
    tokyo = timezone(timedelta(hours=9))

    assert Month.of(datetime(2027, 1, 1, 8, 59, tzinfo=tokyo)) == Month(year=2026, month=12)
    assert Month.of(datetime(2027, 1, 1, 9, tzinfo=tokyo)) == Month(year=2027, month=1)


@PARTITIONED
def test_a_migrated_table_has_partitions_for_this_month_and_three_more(
    own_store: Store, table: PartitionedTable
) -> None:
    found = months(own_store, table)

    assert len(found) == 4
    assert all(month.next == after for month, after in pairwise(found))


@PARTITIONED
def test_a_new_partition_has_all_that_its_siblings_have(own_store: Store, table: PartitionedTable) -> None:
    sibling = table.partition(months(own_store, table)[0])
    make(own_store, table, FAR)

    with own_store.single() as tx:
        found = [
            (
                tx.connection.execute(
                    "SELECT array_agg(replace(indexdef, tablename, '') ORDER BY 1) AS of FROM "
                    "(SELECT regexp_replace(indexdef, 'INDEX \\S+', 'INDEX') AS indexdef, tablename FROM pg_indexes "
                    "WHERE tablename = %s) AS found",
                    [name],
                ).fetchall(),
                tx.connection.execute(
                    "SELECT tgname, tgtype, tgenabled FROM pg_trigger WHERE tgrelid = %s::regclass ORDER BY 1", [name]
                ).fetchall(),
                tx.connection.execute(
                    "SELECT conname FROM pg_constraint WHERE conrelid = %s::regclass AND contype = 'c'", [name]
                ).fetchall(),
            )
            for name in (sibling, table.partition(FAR))
        ]
    assert found[0] == found[1]


@pytest.mark.parametrize("zone", ["UTC", "Asia/Tokyo", "America/New_York"])
def test_a_month_begins_and_ends_at_midnight_utc_wherever_the_database_is(own_store: Store, zone: str) -> None:
    with own_store.transaction() as tx:
        tx.connection.execute(f"SET LOCAL TimeZone = '{zone}'".encode())
        tx.partitions.make(EVENT_LOG, FAR, is_written=False)
    for moment in (FAR.start - timedelta(microseconds=1), FAR.start, FAR.end - timedelta(microseconds=1), FAR.end):
        add_event(own_store, moment)

    assert events_in(own_store, "events_2099_12") == 2
    assert events_in(own_store, "events_default") == 2


def test_rows_that_came_before_their_partition_move_into_it(own_store: Store) -> None:
    for moment in (FAR.start, FAR.end - timedelta(microseconds=1), FAR.end):
        add_event(own_store, moment)
    with own_store.transaction() as tx:
        strays = tx.partitions.stray_months(EVENT_LOG)

    moved = make(own_store, EVENT_LOG, FAR)

    assert strays == [FAR, FAR.next]
    assert (moved, events_in(own_store, "events_2099_12"), events_in(own_store, "events_default")) == (2, 2, 1)


@pytest.mark.parametrize("partition", ["events", "events_2099_12", "events_default"])
@pytest.mark.parametrize("change", ["UPDATE {} SET step = 'x'", "DELETE FROM {}"])
def test_rows_are_refused_to_change_after_a_move_as_before(own_store: Store, change: str, partition: str) -> None:
    add_event(own_store, FAR.start)
    add_event(own_store, FAR.end)
    make(own_store, EVENT_LOG, FAR)

    with own_store.single() as tx, pytest.raises(psycopg.errors.RestrictViolation, match="append-only"):
        tx.connection.execute(change.format(partition).encode())


def test_a_partition_that_cannot_be_made_now_leaves_everything_as_it_was(
    own_store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("workflow_engine.store.partitions._PATIENCE", timedelta(milliseconds=50))
    add_event(own_store, FAR.start)
    before = months(own_store, EVENT_LOG)

    with reader(own_store, EVENT_LOG):
        assert make(own_store, EVENT_LOG, FAR) is None

    assert months(own_store, EVENT_LOG) == before
    assert events_in(own_store, "events_default") == 1
    assert make(own_store, EVENT_LOG, FAR) == 1


@PARTITIONED
def test_a_partition_that_somebody_reads_is_not_dropped(own_store: Store, table: PartitionedTable) -> None:
    make(own_store, table, FAR)

    with reader(own_store, table):
        assert drop(own_store, table, FAR) is False

    assert FAR in months(own_store, table)
    assert drop(own_store, table, FAR) is True
    assert FAR not in months(own_store, table)


@pytest.mark.parametrize("is_written", [True, False])
def test_a_writer_at_work_neither_fails_nor_loses_a_row(own_store: Store, is_written: bool) -> None:
    made = [Month(year=2099, month=number) for number in range(1, 9)]
    moments = [month.start for month in made] if is_written else [datetime.now(UTC)]
    done = Flag()

    def write() -> int:
        number = 0
        while not done.is_set():
            add_event(own_store, moments[number % len(moments)])
            number += 1
        return number

    with ThreadPoolExecutor() as pool:
        writers = [pool.submit(write) for _ in range(3)]
        try:
            results = [make(own_store, EVENT_LOG, month, is_written=is_written) for month in made]
            dropped = [] if is_written else [drop(own_store, EVENT_LOG, month) for month in made]
        finally:
            done.set()
        written = sum(writer.result() for writer in writers)

    assert None not in results
    assert all(dropped)
    assert events_in(own_store, "events") == written
    assert events_in(own_store, "events_default") == 0

"""Cursors: who holds them, until when, and that nobody else moves them."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import psycopg
import pytest

from workflow_engine.store.cursors import CursorKey
from workflow_engine.store.database import Database
from workflow_engine.store.transaction import Store

LEASE = timedelta(minutes=1)
OVER = timedelta(seconds=-1)
"""A lease that has run out when it begins."""
ONE, TWO = str(uuid4()), str(uuid4())


def append(connection: psycopg.Connection[object], number: int = 1, name: str = "run.started") -> list[int]:
    """Append events about no run; return their places."""
    rows = connection.execute(
        "INSERT INTO events (namespace, name, data) SELECT 'default', %s, '{}' FROM generate_series(1, %s) "
        "RETURNING id",
        [name, number],
    ).fetchall()
    return [row[0] for row in rows]  # type: ignore[index]


@pytest.fixture
def places(store: Store) -> list[int]:
    """The places of ten events."""
    with store.single() as tx:
        return append(tx.connection, 10)


def test_a_new_subscriber_begins_at_the_head_or_at_the_beginning(store: Store, places: list[int]) -> None:
    with store.single() as tx:
        tx.cursors.register({"late": False, "early": True})
        found = {each.subscriber: each for each in tx.cursors.page()}

    assert (found["late"].position, found["late"].lag, found["late"].waiting_since) == (places[-1], 0, None)
    assert (found["early"].position, found["early"].lag) == (0, places[-1])
    assert found["early"].waiting_since is not None


def test_a_cursor_that_is_there_stays_where_it_is(store: Store, places: list[int]) -> None:
    with store.single() as tx:
        tx.cursors.register({"a": True})
        tx.cursors.register({"a": False})

        assert [each.position for each in tx.cursors.page()] == [0]


def test_a_cursor_is_one_relays_until_its_lease_is_over(store: Store) -> None:
    with store.single() as tx:
        tx.cursors.register({"a": True, "b": True})
        (taken,) = tx.cursors.take(ONE, ["a"], limit=5, lease=LEASE)
        held = [each.key.subscriber for each in tx.cursors.take(TWO, ["a", "b"], limit=5, lease=OVER)]
        expired = [each.key.subscriber for each in tx.cursors.take(ONE, ["b"], limit=5, lease=LEASE)]

    assert taken.key == CursorKey(subscriber="a", relay_id=ONE, generation=1)
    assert held == ["b"]
    assert expired == ["b"]


def test_no_more_are_taken_than_asked_for_and_the_first_named_first(store: Store) -> None:
    with store.single() as tx:
        tx.cursors.register({"a": True, "b": True, "c": True})

        taken = tx.cursors.take(ONE, ["c", "a", "b"], limit=2, lease=LEASE)

    assert {each.key.subscriber for each in taken} == {"c", "a"}


def test_what_another_relay_takes_at_this_moment_is_skipped(store: Store, database: Database) -> None:
    with store.single() as tx:
        tx.cursors.register({"a": True, "b": True})
    with database.transaction() as connection, store.single() as tx:
        connection.execute("SELECT FROM cursors WHERE subscriber = 'a' FOR UPDATE")

        taken = tx.cursors.take(ONE, ["a", "b"], limit=2, lease=LEASE)

    assert [each.key.subscriber for each in taken] == ["b"]


def test_a_cursor_advances_only_for_who_holds_it(store: Store) -> None:
    with store.single() as tx:
        tx.cursors.register({"a": True})
        (old,) = tx.cursors.take(ONE, ["a"], limit=1, lease=OVER)
        (new,) = tx.cursors.take(TWO, ["a"], limit=1, lease=LEASE)

        assert not tx.cursors.advance(old.key, 7)
        assert tx.cursors.advance(new.key, 5)
        assert [each.position for each in tx.cursors.page()] == [5]


def test_an_advance_does_not_wait_for_the_disk(store: Store) -> None:
    with store.transaction() as tx:
        tx.cursors.register({"a": True})
        (held,) = tx.cursors.take(ONE, ["a"], limit=1, lease=LEASE)
        tx.cursors.advance(held.key, 1)

        assert tx.connection.execute("SHOW synchronous_commit").fetchone()[0] == "off"


def test_setting_a_cursor_works_while_a_relay_holds_it_and_the_relay_notices(store: Store) -> None:
    with store.single() as tx:
        tx.cursors.register({"a": True})
        (held,) = tx.cursors.take(ONE, ["a"], limit=1, lease=LEASE)

        moved = tx.cursors.move(["a", "unknown"], 3)

        assert moved == ["a"]
        assert not tx.cursors.advance(held.key, 9)
        (renewed,) = tx.cursors.renew(ONE, LEASE)
    assert (renewed.position, renewed.key.generation) == (3, held.key.generation + 1)


def test_a_released_cursor_is_free_and_a_late_release_frees_nothing(store: Store) -> None:
    with store.single() as tx:
        tx.cursors.register({"a": True})
        (first,) = tx.cursors.take(ONE, ["a"], limit=1, lease=LEASE)
        tx.cursors.release(first.key)
        (second,) = tx.cursors.take(TWO, ["a"], limit=1, lease=LEASE)
        tx.cursors.release(first.key)

        assert [each.key for each in tx.cursors.renew(TWO, LEASE)] == [second.key]


def test_relays_are_counted_for_each_subscriber_while_they_are_alive(store: Store) -> None:
    with store.single() as tx:
        tx.cursors.beat(ONE, "one", ["a", "b"])
        tx.cursors.beat(TWO, "two", ["b", "c"])

        alive = tx.cursors.count_relays(["a", "b"], LEASE)
        silent = tx.cursors.count_relays(["a", "b"], OVER)

    assert alive == {"a": 1, "b": 2}
    assert silent == {}


def test_a_relay_that_stops_frees_all_it_holds(store: Store) -> None:
    with store.single() as tx:
        tx.cursors.register({"a": True})
        tx.cursors.beat(ONE, "one", ["a"])
        tx.cursors.take(ONE, ["a"], limit=1, lease=LEASE)
        (held,) = tx.cursors.page()
        tx.cursors.forget_relay(ONE)
        (free,) = tx.cursors.page()

        assert (held.relay, free.relay) == ("one", None)
        assert tx.cursors.count_relays(["a"], LEASE) == {}


def test_relays_that_were_silent_for_a_day_are_forgotten(store: Store) -> None:
    with store.single() as tx:
        tx.cursors.beat(ONE, "one", [])
        tx.connection.execute("UPDATE relays SET heartbeat_at = now() - interval '2 days'")

        tx.cursors.beat(TWO, "two", [])

        assert [row.name for row in tx.connection.execute("SELECT name FROM relays")] == ["two"]


def test_a_subscriber_rests_since_its_first_rest(store: Store) -> None:
    with store.single() as tx:
        tx.cursors.register({"a": True})
        (held,) = tx.cursors.take(ONE, ["a"], limit=1, lease=LEASE)

        rests = []
        for resting in (True, True, False):
            tx.cursors.rest(held.key, resting=resting)
            rests += [each.resting_since for each in tx.cursors.page()]

    assert rests[0] == rests[1]
    assert rests[0] is not None
    assert rests[0] < datetime.now(UTC)
    assert rests[2] is None


def test_a_transaction_that_appends_is_a_writer_until_it_is_over(store: Store, database: Database) -> None:
    with store.single() as tx:
        with database.transaction() as connection:
            before = tx.cursors.writers()
            append(connection)
            during = tx.cursors.writers()
        after = tx.cursors.writers()

    assert (len(before), len(during), len(after)) == (0, 1, 0)


def test_a_transaction_that_only_reads_the_log_or_writes_elsewhere_is_no_writer(
    store: Store, database: Database
) -> None:
    with store.single() as tx, database.transaction() as connection:
        connection.execute("SELECT FROM events")
        connection.execute("UPDATE cursors SET position = 0")

        assert tx.cursors.writers() == frozenset()


def test_the_snapshots_bounds_do_not_tell_who_may_still_fill_a_gap(store: Store, database: Database) -> None:
    """Why writers are asked for: a place is open whose holder's id is not below the xmax of a later snapshot."""
    bounds = "SELECT pg_snapshot_xmin(s)::text::bigint, pg_snapshot_xmax(s)::text::bigint FROM pg_current_snapshot() s"
    with database.transaction() as holder, store.single() as tx:
        with database.transaction() as other:
            other.execute("SELECT pg_current_xact_id()")  # an older transaction than the one that takes the place first
            holder.execute("SELECT pg_current_xact_id()")
            append(holder)
            append(other)
        first = tx.connection.execute(bounds).fetchone()
        second = tx.connection.execute(bounds).fetchone()

        assert second[0] >= first[1], "by this rule the gap would be settled"
        assert len(tx.cursors.writers()) == 1, "yet its holder goes on"


def test_a_page_of_cursors_is_one_statement(store: Store, count_statements: Callable[[], int]) -> None:
    with store.single() as tx:
        tx.cursors.register({f"s{number}": True for number in range(20)})
        count_statements()

        assert len(tx.cursors.page()) == 20
        assert count_statements() == 1

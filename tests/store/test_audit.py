"""The audit log on a real database: it takes every event once, keeps it, and its chain tells when somebody did not."""

import random
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.audits import NOON, an_event, events, intrusion, numbers
from workflow_engine.engine.audit_desk import AuditDesk, AuditReport
from workflow_engine.model.audit_chain import canonical_json
from workflow_engine.model.records import EventRecord
from workflow_engine.store.audit import AuditFilter
from workflow_engine.store.partitions import AUDIT_LOG, Month
from workflow_engine.store.transaction import Store
from workflow_engine.subscribers.audit import AuditSubscriber, entry_of

MARCH, APRIL = Month(year=2026, month=3), Month(year=2026, month=4)


def audit(store: Store, *batches: list[EventRecord]) -> None:
    for batch in batches:
        AuditSubscriber(store).on_batch(batch)


def verify(store: Store, from_month: Month | None = None) -> AuditReport:
    return AuditDesk(store).verify(from_month=from_month)


def partition_and_drop(store: Store, month: Month) -> None:
    with store.transaction() as tx:
        assert tx.partitions.make(AUDIT_LOG, month, is_written=True) is not None
    with store.transaction() as tx:
        assert tx.partitions.drop(AUDIT_LOG, month)


def test_a_row_says_what_its_event_said(own_store: Store) -> None:
    event = an_event(name="run.cancelling", data={"reason": "late", "actor": "ada@host", "running_steps": 0})
    audit(own_store, [event])

    with own_store.transaction() as tx:
        (row,) = tx.audit.page(AuditFilter(), 10)

    entry = row.entry
    assert (row.number, entry.event, entry.actor, entry.data) == (1, event.name, "ada@host", event.data)
    assert (entry.event_id, entry.run_id, entry.step, entry.attempt) == (event.id, event.run_id, "charge", 1)
    assert (entry.namespace, entry.workflow, entry.correlation_id) == ("default", "orders", "c-17")
    assert entry.occurred_at == NOON
    assert row.recorded_at > NOON


def test_a_batch_that_comes_again_adds_nothing(own_store: Store) -> None:
    batch = events(5)
    audit(own_store, batch, batch, [*batch, *events(1, NOON + timedelta(hours=1))])

    assert numbers(own_store) == [1, 2, 3, 4, 5, 6]
    assert verify(own_store).flaw is None


def test_an_event_that_is_twice_in_a_batch_is_one_row(own_store: Store) -> None:
    first, second = events(2)
    audit(own_store, [first, second, first])

    with own_store.transaction() as tx:
        assert [row.entry.event_id for row in tx.audit.read()] == [first.id, second.id]


def test_a_batch_costs_the_same_statements_whatever_its_size(own_store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[object] = []
    original = psycopg.Cursor.execute

    def execute(self: psycopg.Cursor[object], query: object, *args: object, **kwargs: object) -> object:
        if isinstance(query, bytes) and b"audit" in query:  # not what the pool says to its connections
            sent.append(query)
        return original(self, query, *args, **kwargs)  # type: ignore[arg-type]

    monkeypatch.setattr(psycopg.Cursor, "execute", execute)
    counts = []
    for number in (1, 100, 1_000):
        audit(own_store, events(number, NOON + timedelta(days=number)))
        counts.append(len(sent))
        sent.clear()

    assert counts == [3, 3, 3]


def test_writers_at_once_make_one_chain_without_gaps(own_store: Store) -> None:
    shared = events(20)
    batches = [[*events(30, NOON + timedelta(hours=number + 1)), *shared] for number in range(8)]

    with ThreadPoolExecutor(4) as pool:
        for done in [pool.submit(audit, own_store, batch) for batch in batches]:
            done.result()

    assert numbers(own_store) == list(range(1, 8 * 30 + 20 + 1))
    assert verify(own_store).flaw is None


def test_a_batch_that_fails_leaves_the_head_where_it_was(own_store: Store) -> None:
    audit(own_store, events(3))
    with pytest.raises(psycopg.DataError):
        audit(own_store, [*events(3, NOON + timedelta(days=1)), an_event(step="\0")])
    audit(own_store, events(3, NOON + timedelta(days=2)))

    assert numbers(own_store) == [1, 2, 3, 4, 5, 6]
    assert verify(own_store).flaw is None


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE audit_log SET actor = 'eve'",
        "DELETE FROM audit_log",
        "TRUNCATE audit_log",
        "UPDATE {partition} SET actor = 'eve'",
        "DELETE FROM {partition}",
        "TRUNCATE {partition}",
        "UPDATE audit_head SET number = 0",
        "DELETE FROM audit_head",
        "TRUNCATE audit_head",
        "UPDATE audit_anchors SET number = 5",
        "DELETE FROM audit_anchors",
        "TRUNCATE audit_anchors",
    ],
)
@pytest.mark.parametrize("partition", ["default", "made", "migrated"])
def test_the_database_refuses_every_change(own_store: Store, change: str, partition: str) -> None:
    now = datetime.now(UTC)
    moment = now if partition == "migrated" else NOON
    audit(own_store, [an_event(moment)])
    if partition == "made":
        with own_store.transaction() as tx:
            tx.partitions.make(AUDIT_LOG, MARCH, is_written=True)
    name = AUDIT_LOG.default if partition == "default" else AUDIT_LOG.partition(Month.of(moment))

    with own_store.single() as tx, pytest.raises(psycopg.errors.RestrictViolation):
        tx.connection.execute(change.format(partition=name).encode())
    assert numbers(own_store) == [1]


@pytest.mark.parametrize(
    ("deed", "number", "reason"),
    [
        ("UPDATE audit_log SET actor = 'eve' WHERE number = 7", 7, "was changed"),
        ('UPDATE audit_log SET data = data || \'{"worker": "w"}\' WHERE number = 7', 7, "was changed"),
        ("UPDATE audit_log SET occurred_at = occurred_at + interval '1 microsecond' WHERE number = 20", 20, "changed"),
        ("UPDATE audit_log SET recorded_at = recorded_at - interval '1 day' WHERE number = 1", 1, "was changed"),
        ("UPDATE audit_log SET hash = sha256('x') WHERE number = 7", 7, "was changed"),
        ("UPDATE audit_log SET previous_hash = sha256('x') WHERE number = 7", 7, "was changed"),
        ("DELETE FROM audit_log WHERE number = 7", 7, "is missing"),
        ("DELETE FROM audit_log WHERE number = 1", 1, "is missing"),
        ("DELETE FROM audit_log WHERE number > 15", 16, "cut off"),
        ("DELETE FROM audit_log", 1, "cut off"),
        ("UPDATE audit_log SET number = CASE number WHEN 7 THEN 9 ELSE 7 END WHERE number IN (7, 9)", 7, "changed"),
        (
            "INSERT INTO audit_log SELECT 7, gen_random_uuid(), event, namespace, run_id, workflow, step, attempt, "
            "actor, correlation_id, occurred_at, recorded_at, data, previous_hash, hash FROM audit_log "
            "WHERE number = 12",
            7,
            "",
        ),
        (
            "INSERT INTO audit_log SELECT 21, gen_random_uuid(), event, namespace, run_id, workflow, step, attempt, "
            "actor, correlation_id, occurred_at, recorded_at, data, hash, hash FROM audit_log WHERE number = 20",
            21,
            "",
        ),
        ("UPDATE audit_head SET number = 18", 19, "after the head"),
        ("UPDATE audit_head SET hash = sha256('x')", 20, "not the row that the head"),
        ("DELETE FROM audit_head", 20, "head of the log is missing"),
    ],
)
def test_an_intruder_is_found_at_the_first_bad_number(own_store: Store, deed: str, number: int, reason: str) -> None:
    audit(own_store, events(20))
    with intrusion(own_store) as connection:
        connection.execute(deed.encode())

    flaw = verify(own_store).flaw

    assert flaw is not None
    assert flaw.number == number
    assert reason in flaw.reason


@pytest.mark.parametrize("value", [1, 1.0, 0.1, 1e20, 1e23, 1e-7, -0.0, 2.5e-300, 2**70, True, None, 'é \u2028 "\\'])
def test_every_value_of_an_event_verifies_after_it_was_stored(own_store: Store, value: Any) -> None:
    audit(own_store, [an_event(data={"b": value, "a": [{"z": value, "aa": value}]})])

    assert verify(own_store).flaw is None


_TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20)
"""What PostgreSQL can hold."""
_SPECIAL = st.sampled_from(
    ["", '"', "\\", "\\u0000", "\\x00", "'; --", "{}", "\u2028", "\x7f", "\U0010ffff", "e\u0301"]
)
_LEAVES = st.none() | st.booleans() | _TEXT | _SPECIAL | st.floats(allow_nan=False, allow_infinity=False)
_NUMBERS = st.integers() | st.sampled_from(
    [10**400, -(10**400), 2**53 + 1, 1.0, -0.0, 1e308, 5e-324, 1e16, 123456789.125]
)
_DATA = st.recursive(
    _LEAVES | _NUMBERS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_TEXT | _SPECIAL, inner, max_size=4)
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    data=st.lists(st.dictionaries(_TEXT | _SPECIAL, _DATA, max_size=5), min_size=1, max_size=5), names=_TEXT | _SPECIAL
)
def test_whatever_an_event_says_is_stored_as_it_was_and_verifies(
    own_store: Store, data: list[dict[str, Any]], names: str
) -> None:
    own = {"namespace": names, "workflow": names, "step": names, "correlation_id": names}
    batch = [an_event(data={**each, "actor": names}, **own) for each in data]
    audit(own_store, batch)

    with own_store.transaction() as tx:
        stored = {row.entry.event_id: row.entry for row in tx.audit.read()}
    for event in batch:
        assert canonical_json(1, stored[event.id], NOON) == canonical_json(1, entry_of(event), NOON)
    assert verify(own_store).flaw is None


def test_data_as_deep_as_json_may_be_verifies(own_store: Store) -> None:
    deep: Any = 1.0
    for level in range(200):
        deep = [deep] if level % 2 else {'"\\': deep}
    audit(own_store, [an_event(data={"deep": deep})])

    assert verify(own_store).flaw is None


def test_a_number_that_differs_in_its_last_digit_only_is_found(own_store: Store) -> None:
    audit(own_store, [an_event(data={"seconds": 0.1})])
    with intrusion(own_store) as connection:
        connection.execute("UPDATE audit_log SET data = '{\"seconds\": 0.10000000000000000001}'")

    assert verify(own_store).flaw is not None


def test_the_chain_goes_on_where_retention_has_dropped_a_month(own_store: Store) -> None:
    audit(own_store, events(30), events(20, APRIL.start))
    partition_and_drop(own_store, MARCH)
    audit(own_store, events(5, APRIL.start + timedelta(days=1)))

    report = verify(own_store)

    assert numbers(own_store) == list(range(31, 56))
    assert (report.flaw, report.rows, report.dropped) == (None, 25, 30)


def test_months_that_alternate_around_midnight_leave_an_anchor_for_each_sequence(own_store: Store) -> None:
    chance = random.Random(17)
    around = [an_event(APRIL.start + timedelta(seconds=chance.uniform(-30, 30))) for _ in range(60)]
    audit(own_store, around[:25], around[25:], [an_event(NOON)])
    partition_and_drop(own_store, MARCH)

    report = verify(own_store)

    march = sum(event.occurred_at < APRIL.start for event in around) + 1
    assert (report.flaw, report.rows, report.dropped) == (None, 61 - march, march)
    with own_store.transaction() as tx:
        assert len(tx.audit.anchors()) > 5


def test_a_log_of_which_everything_was_dropped_verifies(own_store: Store) -> None:
    audit(own_store, events(10))
    partition_and_drop(own_store, MARCH)

    assert verify(own_store).flaw is None


def test_a_row_taken_away_beside_a_dropped_month_is_missed(own_store: Store) -> None:
    audit(own_store, events(30), events(20, APRIL.start))
    partition_and_drop(own_store, MARCH)
    with intrusion(own_store) as connection:
        connection.execute("DELETE FROM audit_log WHERE number = 31")

    flaw = verify(own_store).flaw

    assert flaw is not None
    assert flaw.number == 31


def test_verifying_from_a_month_on_looks_at_nothing_before_it(own_store: Store) -> None:
    audit(own_store, events(30), events(20, APRIL.start))
    with intrusion(own_store) as connection:
        connection.execute("UPDATE audit_log SET actor = 'eve' WHERE number = 7")

    assert verify(own_store).flaw is not None
    report = verify(own_store, from_month=APRIL)
    assert (report.flaw, report.rows) == (None, 20)


def test_verifying_from_a_month_on_misses_the_row_before_it(own_store: Store) -> None:
    audit(own_store, events(30), events(20, APRIL.start))
    with intrusion(own_store) as connection:
        connection.execute("DELETE FROM audit_log WHERE number = 30")

    flaw = verify(own_store, from_month=APRIL).flaw

    assert flaw is not None
    assert flaw.number == 30


def test_an_end_that_was_cut_off_is_found_from_a_later_month_on(own_store: Store) -> None:
    audit(own_store, events(10))
    with intrusion(own_store) as connection:
        connection.execute("DELETE FROM audit_log WHERE number > 5")

    flaw = verify(own_store, from_month=APRIL).flaw

    assert flaw is not None
    assert flaw.number == 10


def test_progress_is_told_while_a_log_is_verified(own_store: Store) -> None:
    audit(own_store, events(50))
    told: list[tuple[int, int]] = []

    AuditDesk(own_store, every=20).verify(progress=lambda number, last: told.append((number, last)))

    assert told == [(20, 50), (40, 50)]


def test_rows_recorded_during_a_verification_do_not_disturb_it(own_store: Store) -> None:
    audit(own_store, events(50))

    def disturb(number: int, last: int) -> None:
        audit(own_store, events(10, NOON + timedelta(hours=number)))

    report = AuditDesk(own_store, every=20).verify(progress=disturb)

    assert (report.flaw, report.rows) == (None, 50)
    assert verify(own_store).rows == 70


def by_actor(actor: str, moment: datetime, run_id: str | None = None) -> EventRecord:
    data = {"reason": None, "actor": actor, "running_steps": 0}
    return an_event(moment, name="run.cancelling", run_id=run_id, data=data)


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        (AuditFilter(), [6, 5, 4, 3, 2, 1]),
        (AuditFilter(actor="ada"), [5, 3, 1]),
        (AuditFilter(since=NOON + timedelta(hours=3)), [6, 5, 4]),
        (AuditFilter(until=NOON + timedelta(hours=3)), [3, 2, 1]),
        (AuditFilter(actor="bob", since=NOON + timedelta(hours=1), until=NOON + timedelta(hours=4)), [4, 2]),
        (AuditFilter(actor="nobody"), []),
    ],
)
def test_rows_are_found_by_actor_and_time_newest_first(own_store: Store, wanted: AuditFilter, found: list[int]) -> None:
    audit(own_store, [by_actor("bob" if each % 2 else "ada", NOON + timedelta(hours=each)) for each in range(6)])

    with own_store.transaction() as tx:
        assert [row.number for row in tx.audit.page(wanted, 10)] == found


def test_rows_are_found_by_run(own_store: Store) -> None:
    run_id = str(uuid4())
    audit(own_store, [*events(3), by_actor("ada", NOON, run_id)])

    with own_store.transaction() as tx:
        assert [row.number for row in tx.audit.page(AuditFilter(run_id=run_id), 10)] == [4]  # type: ignore[arg-type]


def test_pages_follow_each_other_without_gaps_though_times_are_equal(own_store: Store) -> None:
    audit(own_store, [an_event(NOON) for _ in range(7)])
    found: list[int] = []
    wanted = AuditFilter()

    with own_store.transaction() as tx:
        while rows := tx.audit.page(wanted, 3):
            found.extend(row.number for row in rows)
            wanted = replace(wanted, before=(rows[-1].entry.occurred_at, rows[-1].number))

    assert found == [7, 6, 5, 4, 3, 2, 1]


INDEXES: dict[str, Callable[[], AuditFilter]] = {
    "run_id": lambda: AuditFilter(run_id=str(uuid4())),  # type: ignore[arg-type]
    "actor": lambda: AuditFilter(actor="ada"),
    "occurred_at": lambda: AuditFilter(since=NOON, until=NOON + timedelta(days=1)),
}


@pytest.mark.parametrize("column", INDEXES)
def test_a_page_is_found_by_an_index(own_store: Store, column: str, monkeypatch: pytest.MonkeyPatch) -> None:
    audit(own_store, events(500))
    plans: list[str] = []
    original = psycopg.Connection.execute

    with own_store.transaction() as tx:

        def explain(query: bytes, values: Any) -> Any:
            rows = original(tx.connection, b"EXPLAIN " + query, values).fetchall()
            plans.append("\n".join(row[0] for row in rows))
            return []

        monkeypatch.setattr(tx.connection, "execute", explain)
        tx.audit.page(INDEXES[column](), 10)

    assert "Seq Scan" not in plans[0]
    assert f"{column} " in plans[0].partition("Index Cond")[2]

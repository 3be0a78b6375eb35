"""Lists of runs: each filter means what it says, pages meet without gap, and each costs a few statements."""

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

import psycopg
import pytest

from tests.fixtures.database import new_database
from workflow_engine.client.run_lists import RunLists
from workflow_engine.errors import InvalidInput
from workflow_engine.ids import RunId, new_run_id
from workflow_engine.model.pages import Place, as_cursor
from workflow_engine.model.records import RunRecord, RunSummary
from workflow_engine.model.run import FINAL_RUN_STATES, RunState
from workflow_engine.model.run_filter import RunOrder, run_filter
from workflow_engine.store import migration, run_search
from workflow_engine.store.database import Database
from workflow_engine.store.transaction import Store

RUNS = 300
BEGIN = datetime(2026, 1, 31, 12, tzinfo=UTC)
METADATA: list[dict[str, Any]] = [{}, {"a": 1}, {"a": 1.0, "b": {"c": "x"}}, {"l": [1, {"d": True}]}, {"a": None}]
A_RUN_ID = "01996b4e-0000-7000-8000-000000000000"
A_RUN = """
INSERT INTO runs (id, plan_id, namespace, workflow, version, state, input, input_digest, idempotency_key,
                  correlation_id, priority, title, tags, metadata, agent, initiator, schedule_id, sinks_left,
                  created_at, due_at, finished_at, rerun_of)
SELECT %(id)s, plans.id, namespace, workflow, version, %(state)s, '"large"', '', %(key)s, %(correlation_id)s,
       %(priority)s, %(title)s, %(tags)s, %(metadata)s::jsonb, %(agent)s, %(initiator)s, %(schedule_id)s, 1,
       %(created_at)s, %(due_at)s, %(finished_at)s, %(rerun_of)s
  FROM plans WHERE id = %(plan)s
"""


def a_run(random: Random, number: int) -> dict[str, Any]:
    """Return the values of a run; some moments are the same."""
    run_id = str(new_run_id())
    state = random.choice(list(RunState))
    created_at = BEGIN + timedelta(seconds=number // 3)
    return {
        "id": run_id,
        "state": state.value,
        "key": f"key-{number}" if random.random() < 0.3 else None,
        "correlation_id": run_id if random.random() < 0.7 else "a correlation",
        "priority": random.choice([None, 0, 3]),
        "title": random.choice([None, "Order 17", "an ORDER of 100 % wool", "x_y"]),
        "tags": random.sample(["eu", "vip", "late"], random.randrange(3)),
        "metadata": json.dumps(random.choice(METADATA)),
        "agent": random.choice([None, "smith"]),
        "initiator": random.choice([None, "ada", "bob"]),
        "schedule_id": random.choice([None, 1, 2]),
        "created_at": created_at,
        "due_at": random.choice([None, created_at + timedelta(minutes=1)]),
        "finished_at": created_at + timedelta(seconds=random.randrange(60)) if state in FINAL_RUN_STATES else None,
        "rerun_of": random.choice([None, A_RUN_ID]),
        "plan": random.randrange(1, 7),
    }


@pytest.fixture(scope="module")
def many(postgres_url: str) -> Iterator[Store]:
    """A store with runs of all kinds, which no test changes."""
    random = Random(4711)
    with new_database(postgres_url) as url:
        migration.upgrade(url)
        database = Database(url, max_connections=2)
        with database.transaction() as connection:
            connection.execute(
                b"INSERT INTO plans (namespace, workflow, version, digest, definition) "
                b"SELECT CASE WHEN number = 6 THEN 'tenant' ELSE 'default' END, 'flow_' || number / 2, "
                b"(number % 2)::text, '', '{}' FROM generate_series(1, 6) AS number"
            )
            connection.execute(
                b"INSERT INTO schedules (namespace, name, workflow, input_digest, options, cron, time_zone, anchor_at, "
                b"catch_up, overlap) SELECT 'default', 'schedule_' || number, 'flow_1', '', '{}', '@daily', 'UTC', "
                b"now(), 'all', 'allow' FROM generate_series(1, 2) AS number"
            )
            connection.cursor().executemany(A_RUN.encode(), [a_run(random, number) for number in range(RUNS)])
        yield Store(database)
        database.close()


@pytest.fixture
def lists(many: Store) -> RunLists:
    return RunLists(many, namespace="default")


@pytest.fixture(scope="module")
def everything(many: Store) -> list[RunRecord]:
    """All runs of the namespace, newest first."""
    found = RunLists(many, namespace="default").page(limit=1_000, with_input=True).items
    assert len(found) > RUNS / 2
    runs = [run for run in found if isinstance(run, RunRecord)]
    assert runs == sorted(runs, key=lambda run: (run.created_at, run.id), reverse=True)
    return runs


MINUTE = BEGIN + timedelta(minutes=1)
FILTERS: list[tuple[dict[str, Any], Callable[[RunSummary], bool]]] = [
    ({"states": ["failed"]}, lambda run: run.state == "failed"),
    ({"states": ["running"]}, lambda run: run.state == "running"),
    ({"states": ["pending", "running"]}, lambda run: run.state in ("pending", "running")),
    ({"states": ["pending", "paused", "expired"]}, lambda run: run.state in ("pending", "paused", "expired")),
    ({"workflow": "flow_1"}, lambda run: run.workflow == "flow_1"),
    ({"workflow": "flow_1", "version": "0"}, lambda run: (run.workflow, run.version) == ("flow_1", "0")),
    ({"workflow": "flow_1", "version": "7"}, lambda run: False),
    ({"tags": ["eu"]}, lambda run: "eu" in run.tags),
    ({"tags": ["eu", "vip"]}, lambda run: {"eu", "vip"} <= set(run.tags)),
    ({"tags": ["none"]}, lambda run: False),
    ({"metadata": {"a": 1}}, lambda run: run.metadata.get("a") == 1),
    ({"metadata": {"a": None}}, lambda run: "a" in run.metadata and run.metadata["a"] is None),
    ({"metadata": {"b": {"c": "x"}, "a": 1}}, lambda run: "b" in run.metadata),
    ({"metadata": {"l": [{"d": True}]}}, lambda run: "l" in run.metadata),
    ({"metadata": {"b": {}}}, lambda run: "b" in run.metadata),
    ({"agent": "smith"}, lambda run: run.agent == "smith"),
    ({"initiator": "ada", "agent": "smith"}, lambda run: (run.agent, run.initiator) == ("smith", "ada")),
    ({"correlation_id": "a correlation"}, lambda run: run.correlation_id == "a correlation"),
    ({"rerun_of": A_RUN_ID}, lambda run: run.rerun_of == A_RUN_ID),
    ({"title": "order"}, lambda run: "order" in (run.title or "").lower()),
    ({"title": "0 % w"}, lambda run: "0 % w" in (run.title or "")),
    ({"title": "xzy"}, lambda run: False),
    ({"created_after": MINUTE}, lambda run: run.created_at >= MINUTE),
    ({"created_before": MINUTE, "tags": ["eu"]}, lambda run: run.created_at < MINUTE and "eu" in run.tags),
    ({"finished_after": MINUTE}, lambda run: bool(run.finished_at and run.finished_at >= MINUTE)),
    ({"finished_before": MINUTE}, lambda run: bool(run.finished_at and run.finished_at < MINUTE)),
    ({"due_before": MINUTE + timedelta(minutes=1)}, lambda run: bool(run.due_at and run.created_at < MINUTE)),
    (
        {"states": ["failed", "running"], "workflow": "flow_1", "tags": ["eu"], "initiator": "bob"},
        lambda run: (
            run.state in ("failed", "running")
            and run.workflow == "flow_1"
            and "eu" in run.tags
            and run.initiator == "bob"
        ),
    ),
]


def walk(lists: RunLists, limit: int, most_pages: int, **wanted: Any) -> list[str]:
    """Return the ids of all pages."""
    found: list[str] = []
    cursor = None
    for _ in range(most_pages):
        page = lists.page(limit=limit, cursor=cursor, **wanted)
        found += [run.id for run in page.items]
        cursor = page.next
        if cursor is None:
            return found
    raise AssertionError("the list has no end")


def statements_sent(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """Return where each statement is noted that is sent from here on."""
    sent: list[object] = []
    original = psycopg.Cursor.execute

    def execute(self: Any, query: Any, *args: Any, **options: Any) -> Any:
        sent.append(query)
        return original(self, query, *args, **options)

    monkeypatch.setattr(psycopg.Cursor, "execute", execute)
    return sent


@pytest.mark.parametrize(("look", "few"), [(4_000, 1_000), (10, 5)], ids=["usual", "short walks"])
@pytest.mark.parametrize(("wanted", "fits"), FILTERS, ids=lambda each: str(each) if isinstance(each, dict) else "")
def test_the_pages_of_a_filter_have_each_run_that_fits_once_in_order(
    lists: RunLists,
    everything: list[RunRecord],
    monkeypatch: pytest.MonkeyPatch,
    wanted: dict[str, Any],
    fits: Callable[[RunSummary], bool],
    look: int,
    few: int,
) -> None:
    monkeypatch.setattr(run_search, "LOOK", look)
    monkeypatch.setattr(run_search, "FEW", few)
    expected = [run.id for run in everything if fits(run)]

    assert walk(lists, 40, RUNS, **wanted) == expected
    assert walk(lists, 90, RUNS, order="oldest", **wanted) == expected[::-1]


A_WHILE = timedelta(seconds=20)
WITHIN = {"created_after": MINUTE - A_WHILE, "created_before": MINUTE}
ENDED_WITHIN = {"finished_after": MINUTE - A_WHILE, "finished_before": MINUTE}
OF_A_TIME: list[dict[str, Any]] = [
    {"created_before": MINUTE},
    {"created_after": MINUTE},
    WITHIN,
    {"finished_before": MINUTE},
    ENDED_WITHIN,
    {"created_before": MINUTE - A_WHILE, "finished_before": MINUTE, "states": ["failed", "succeeded"]},
    {**WITHIN, **ENDED_WITHIN, "tags": ["eu"]},
    {**WITHIN, "workflow": "flow_1"},
]


def fits_time(run: RunRecord, wanted: dict[str, Any]) -> bool:
    """Return whether a run fits a filter of ``OF_A_TIME``, as anybody would say it."""
    long_ago, far_off = BEGIN - timedelta(days=1), BEGIN + timedelta(days=1)
    is_finished_said = "finished_after" in wanted or "finished_before" in wanted
    return (
        wanted.get("created_after", long_ago) <= run.created_at < wanted.get("created_before", far_off)
        and (run.finished_at is not None or not is_finished_said)
        and (
            not is_finished_said
            or wanted.get("finished_after", long_ago) <= run.finished_at < wanted.get("finished_before", far_off)
        )
        and (run.state in wanted["states"] if "states" in wanted else True)
        and set(wanted.get("tags", [])) <= set(run.tags)
        and run.workflow == wanted.get("workflow", run.workflow)
    )


def places(everything: list[RunRecord]) -> list[Place]:
    """Return places all over the list: behind runs, between them, at the moments of the filters, beyond both ends."""
    moments = [MINUTE + timedelta(seconds=away) for away in (-120, -60, -20, -19.5, 0, 0.5, 20, 120)]
    there = [Place(moment=run.created_at, run_id=run.id) for run in everything[::20]]
    ends = ("00000000-0000-0000-0000-000000000000", "ffffffff-ffff-ffff-ffff-ffffffffffff")
    return there + [Place(moment=moment, run_id=RunId(run_id)) for moment in moments for run_id in ends]


@pytest.mark.parametrize("order", RunOrder)
@pytest.mark.parametrize("wanted", OF_A_TIME, ids="+".join)
def test_a_page_of_a_time_goes_on_from_any_place_with_what_is_behind_it(
    lists: RunLists,
    everything: list[RunRecord],
    monkeypatch: pytest.MonkeyPatch,
    wanted: dict[str, Any],
    order: RunOrder,
) -> None:
    is_newest = order is RunOrder.NEWEST
    fitting = [run for run in (everything if is_newest else everything[::-1]) if fits_time(run, wanted)]
    question = run_filter(**wanted).question("default", order)
    sent = statements_sent(monkeypatch)

    for place in places(everything):
        here = (place.moment, place.run_id)
        behind = [run.id for run in fitting if is_newest == ((run.created_at, run.id) < here)]
        behind = [run_id for run_id in behind if run_id != place.run_id]
        page = lists.page(limit=1_000, order=order, cursor=as_cursor(place, question), **wanted)

        assert [run.id for run in page.items] == behind, place
        assert len(sent) <= 5
        sent.clear()


def test_a_run_is_found_by_its_key_its_own_correlation_id_and_its_schedule(
    lists: RunLists, everything: list[RunRecord]
) -> None:
    keyed = next(run for run in everything if run.idempotency_key)
    alone = next(run for run in everything if run.correlation_id == run.id)

    assert [run.id for run in lists.page(idempotency_key=keyed.idempotency_key).items] == [keyed.id]
    assert [run.id for run in lists.page(correlation_id=alone.id).items] == [alone.id]
    first, second = (set(walk(lists, 50, RUNS, schedule=f"schedule_{number}")) for number in (1, 2))
    assert first
    assert second
    assert not first & second
    assert walk(lists, 50, RUNS, schedule="schedule_3") == []


@pytest.mark.parametrize("wanted", [{}, *(wanted for wanted, _ in FILTERS)], ids=str)
def test_a_page_costs_at_most_five_statements(
    lists: RunLists, monkeypatch: pytest.MonkeyPatch, wanted: dict[str, Any]
) -> None:
    sent = statements_sent(monkeypatch)

    lists.page(limit=10, **wanted)

    assert 3 <= len(sent) <= 5, "the beginning and the end of a transaction, and one to three questions"


def test_items_have_no_input_unless_asked(lists: RunLists) -> None:
    assert not any(isinstance(run, RunRecord) for run in lists.page(limit=10).items)
    assert {run.input for run in lists.page(limit=10, with_input=True).items if isinstance(run, RunRecord)} == {"large"}


def test_a_list_has_runs_of_its_namespace_only(many: Store) -> None:
    tenant = RunLists(many, namespace="tenant")

    assert {run.namespace for run in tenant.page(limit=1_000).items} == {"tenant"}
    assert {run.namespace for run in tenant.page(limit=1_000, tags=["eu"]).items} == {"tenant"}
    assert tenant.page(workflow="flow_1").items == []


@pytest.mark.parametrize("wanted", [{"order": "sideways"}, {"limit": 0}, {"cursor": "x"}, {"colour": "blue"}])
def test_a_page_of_nonsense_is_refused_by_name(lists: RunLists, wanted: dict[str, Any]) -> None:
    with pytest.raises(InvalidInput) as raised:
        lists.page(**wanted)

    assert raised.value.field == next(iter(wanted))


def test_labels_follow_what_they_are_of(many: Store) -> None:
    with many.database.connection() as connection, connection.transaction(force_rollback=True):
        ask = b"SELECT count(*) FROM run_labels WHERE run_id = %(id)s"
        row = a_run(Random(1), 1) | {"tags": ["a", "a", "b"], "metadata": '{"x": [1, 1]}', "agent": None}
        row |= {"initiator": None, "schedule_id": None, "due_at": None, "rerun_of": None, "correlation_id": row["id"]}
        connection.execute(A_RUN.encode(), row)
        assert connection.execute(ask, row).fetchone() == (3,)
        connection.execute(b"UPDATE runs SET tags = '{c}' WHERE id = %(id)s", row)
        assert connection.execute(ask, row).fetchone() == (2,)
        connection.execute(b"DELETE FROM runs WHERE id = %(id)s", row)
        assert connection.execute(ask, row).fetchone() == (0,)

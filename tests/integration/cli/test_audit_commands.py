"""`wfe audit`, `wfe db prune`, and whom commands name as the one who did it."""

import getpass
import socket
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.integration.cli.running import Ended, wfe
from tests.support.audits import NOON, an_event, events, intrusion
from workflow_engine.store.transaction import Store
from workflow_engine.subscribers.audit import AuditSubscriber

pytestmark = pytest.mark.usefixtures("nowhere")

ME = f"{getpass.getuser()}@{socket.gethostname()}"
Wfe = Callable[..., Ended]


@pytest.fixture
def command(own_store: Store) -> Wfe:
    """Run a command on a database of this test, without a broker."""
    urls = {"WFE_DATABASE_URL": own_store.database.url, "WFE_BROKER_URL": "redis://127.0.0.1:1/0"}
    return lambda *arguments: wfe(*arguments, **urls)


@pytest.fixture
def rows(own_store: Store) -> list[str]:
    """Five audit rows: one by ada, elsewhere, the others by the engine; the ids of their runs."""
    cancelling = {"reason": None, "actor": "ada", "running_steps": 0}
    elsewhere: dict[str, Any] = {"namespace": "elsewhere", "step": None, "data": cancelling}
    found = [*events(4), an_event(NOON + timedelta(days=1), name="run.cancelling", **elsewhere)]
    AuditSubscriber(own_store).on_batch(found)
    return [str(event.run_id) for event in found]


def numbers(ended: Ended) -> list[int]:
    return [row["number"] for row in ended.json]


def test_a_whole_log_verifies(command: Wfe, rows: list[str]) -> None:
    ended = command("audit", "verify")
    values = command("audit", "verify", "--json").json

    assert ended.code == 0
    assert ended.out.startswith("5 rows are as they were recorded\nlast: number 5, SHA-256 ")
    assert (values["is_whole"], values["rows"], values["last_number"], values["flaw"]) == (True, 5, 5, None)
    assert values["last_hash"] in ended.out


def test_a_log_that_somebody_changed_is_a_failure_that_names_the_row(
    command: Wfe, rows: list[str], own_store: Store
) -> None:
    with intrusion(own_store) as connection:
        connection.execute("UPDATE audit_log SET actor = 'eve' WHERE number = 3")

    ended = command("audit", "verify")
    as_json = command("audit", "verify", "--json")

    assert (ended.code, as_json.code) == (1, 1)
    assert ended.err == (
        "error: the audit log is not as it was recorded: number 3 was changed: its hash is not that of what it says\n"
    )
    assert as_json.json["flaw"]["number"] == 3


def test_a_month_to_begin_with_leaves_out_what_was_before(command: Wfe, rows: list[str], own_store: Store) -> None:
    AuditSubscriber(own_store).on_batch(events(2, datetime(2026, 4, 1, tzinfo=UTC)))
    with intrusion(own_store) as connection:
        connection.execute("UPDATE audit_log SET actor = 'eve' WHERE number = 3")

    assert command("audit", "verify").code == 1
    assert command("audit", "verify", "--from-month", "2026-04", "--json").json["rows"] == 2


@pytest.mark.parametrize(
    ("options", "found"),
    [
        ([], [5, 4, 3, 2, 1]),
        (["--limit", "2"], [5, 4]),
        (["--namespace", "elsewhere"], [5]),
        (["--namespace", "default", "--limit", "2"], [4, 3]),
        (["--actor", "ada"], [5]),
        (["--actor", "engine"], [4, 3, 2, 1]),
        (["--since", "2026-03-15T12:00:02Z", "--until", "2026-03-16T00:00:00Z"], [4, 3]),
        (["--before", "2026-03-15T12:00:02+00:00/3"], [2, 1]),
    ],
)
def test_the_list_can_be_narrowed_and_paged(
    command: Wfe, rows: list[str], options: list[str], found: list[int]
) -> None:
    assert numbers(command("audit", "list", "--json", *options)) == found


def test_the_rows_of_a_run_are_listed_with_all_that_was_recorded(command: Wfe, rows: list[str]) -> None:
    (row,) = command("audit", "list", "--run", rows[4], "--json").json

    assert (row["number"], row["event"], row["actor"], row["run_id"]) == (5, "run.cancelling", "ada", rows[4])
    assert row["data"] == {"reason": None, "actor": "ada", "running_steps": 0}
    assert len(bytes.fromhex(row["hash"])) == 32


def test_a_page_says_how_to_get_the_next_one(command: Wfe, rows: list[str]) -> None:
    first = command("audit", "list", "--limit", "3")
    rest = command("audit", "list", *first.err.removeprefix("the next page: ").split())

    assert [line.split()[0] for line in first.out.splitlines()] == ["NUMBER", "5", "4", "3"]
    assert [line.split()[0] for line in rest.out.splitlines()] == ["NUMBER", "2", "1"]
    assert rest.err == ""


def test_a_long_list_is_read_page_by_page(command: Wfe, own_store: Store) -> None:
    AuditSubscriber(own_store).on_batch(events(1_203))

    assert numbers(command("audit", "list", "--limit", "1100", "--json")) == list(range(1203, 103, -1))


def test_an_empty_log_is_whole_and_has_nothing_to_list(command: Wfe) -> None:
    assert command("audit", "list").out == "nothing is recorded\n"
    assert command("audit", "verify").code == 0


@pytest.mark.parametrize(
    "arguments",
    [
        ["list", "--since", "yesterday"],
        ["list", "--before", "17"],
        ["list", "--run", "17"],
        ["verify", "--from-month", "2026-13"],
        ["verify", "--from-month", "march"],
    ],
)
def test_what_makes_no_sense_is_wrong_usage_that_is_named(command: Wfe, arguments: list[str]) -> None:
    ended = command("audit", *arguments)

    assert ended.code == 2
    assert arguments[-1] in ended.err
    assert ended.err.count("\n") == 1


def test_pruning_says_what_it_would_do_and_then_does_it(command: Wfe, own_store: Store) -> None:
    AuditSubscriber(own_store).on_batch([an_event(datetime(2020, 1, 15, tzinfo=UTC)), an_event(datetime.now(UTC))])

    would = command("db", "prune", "--dry-run")
    done = command("db", "prune", "--json")

    assert would.out == "audit_log_2020_01  would be made\n"
    facts: list[dict[str, Any]] = done.json
    assert [(fact["partition"], fact["deed"], fact["moved"]) for fact in facts] == [
        ("audit_log_2020_01", "made", 1),
        ("audit_log_2020_01", "dropped", 0),
    ]
    assert command("db", "prune").out == "nothing to do\n"
    assert command("audit", "verify").out.startswith("1 rows are as they were recorded; 1 more were dropped")


def test_pruning_says_for_whom_it_keeps_what_is_past_its_time(command: Wfe, own_store: Store) -> None:
    with own_store.single() as tx:
        tx.connection.execute(
            "INSERT INTO events (namespace, name, occurred_at, data) VALUES ('n', 'run.started', '2020-01-15Z', '{}')"
        )
        tx.cursors.register({"slack": True})

    ended = command("db", "prune")

    assert ended.code == 0
    assert ended.out.splitlines() == [
        "events_2020_01  made: 1 rows moved into it",
        "events_2020_01  kept: slack did not get all of it",
    ]


def actors(store: Store) -> list[tuple[str, str | None]]:
    with store.single() as tx:
        query = (
            "SELECT name, coalesce(data->>'actor', data->>'initiator') AS actor FROM events "
            "WHERE name IN ('run.submitted', 'run.cancelling') ORDER BY id"
        )
        return [(row.name, row.actor) for row in tx.connection.execute(query)]


@pytest.mark.parametrize(("options", "who"), [([], ME), (["--actor", "ada"], "ada")])
def test_whoever_submits_and_cancels_is_named(own_store: Store, broker_url: str, options: list[str], who: str) -> None:
    urls = {"WFE_DATABASE_URL": own_store.database.url, "WFE_BROKER_URL": broker_url, "WFE_QUEUE": "nobody-listens"}
    run = wfe("submit", "orders", "--json", *options, WFE_WORKFLOWS="shop", **urls).json["id"]

    assert wfe("runs", "cancel", run, *options, **urls).code == 0
    assert actors(own_store) == [("run.submitted", who), ("run.cancelling", who)]

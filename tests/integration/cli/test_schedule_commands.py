"""`wfe schedules`: what people type, and what they read."""

from collections.abc import Callable
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from tests.integration.cli.running import Ended, wfe
from tests.support.recording import RecordingDispatcher
from workflow_engine.engine.processor import Processor
from workflow_engine.model.commands import FireTimers
from workflow_engine.store.transaction import Store

pytestmark = pytest.mark.usefixtures("nowhere")

Wfe = Callable[..., Ended]
NIGHTLY = ("schedules", "create", "nightly", "orders", "--cron", "30 2 * * *", "--time-zone", "Europe/Berlin")


@pytest.fixture
def command(own_store: Store) -> Wfe:
    """Run a command on a database of this test, without a broker, where the shop's workflows are known."""
    urls = {"WFE_DATABASE_URL": own_store.database.url, "WFE_BROKER_URL": "redis://127.0.0.1:1/0"}
    return lambda *arguments: wfe(*arguments, WFE_WORKFLOWS="shop", **urls)


def names(ended: Ended) -> list[str]:
    return [each["name"] for each in ended.json]


def test_a_schedule_is_made_shown_changed_and_deleted(command: Wfe) -> None:
    made = command(*NIGHTLY, "--input", '{"amount": 5}', "--overlap", "skip", "--tag", "x", "--priority", "low")
    assert (made.code, made.err) == (0, "")
    assert made.out.startswith("created nightly; next: 20")

    shown = command("schedules", "show", "nightly", "--json").json
    assert (shown["cron"], shown["time_zone"], shown["overlap"]) == ("30 2 * * *", "Europe/Berlin", "skip")
    assert shown["input"] == {"amount": 5, "attempts": 1, "gate": None}
    assert (shown["options"], shown["occurrences"]) == ({"tags": ["x"], "priority": 0}, [])
    text = command("schedules", "show", "nightly").out
    assert "orders (the newest version)" in text
    assert "Europe/Berlin" in text

    changed = command("schedules", "update", "nightly", "--rrule", "FREQ=WEEKLY", "--version", "1", "--json").json
    assert (changed["cron"], changed["rrule"], changed["version"]) == (None, "FREQ=WEEKLY", "1")
    assert command("schedules", "update", "nightly", "--version", "newest", "--json").json["version"] is None
    assert command("schedules", "update", "nightly", "--input", "{}", "--json").json["input"]["amount"] == 1

    assert command("schedules", "delete", "nightly", "--yes").out == "deleted nightly\n"
    assert command("schedules", "list").out == "no schedules\n"


def test_a_schedule_rests_while_it_is_paused(command: Wfe) -> None:
    command(*NIGHTLY)

    assert command("schedules", "pause", "nightly").out == "paused nightly; next: paused\n"
    assert "paused" in command("schedules", "list").out
    assert command("schedules", "next", "nightly").err == "nightly is paused: it lets them pass until it is resumed\n"
    assert command("schedules", "resume", "nightly", "--json").json["paused_at"] is None


def test_lists_come_in_pages(command: Wfe) -> None:
    for name in ("b", "a", "c"):
        command("schedules", "create", name, "elsewhere", "--cron", "@daily")

    first = command("schedules", "list", "--limit", "2")
    assert first.err == "the next page: --after b\n"
    assert names(command("schedules", "list", "--json")) == ["a", "b", "c"]
    assert names(command("schedules", "list", "--after", "b", "--json")) == ["c"]
    assert names(command("schedules", "list", "--workflow", "orders", "--json")) == []


def test_the_next_occurrences_are_shown_in_local_time_and_utc(command: Wfe) -> None:
    command(*NIGHTLY)

    rows = command("schedules", "next", "nightly", "--count", "400", "--json").json
    text = command("schedules", "next", "nightly", "--count", "2").out.splitlines()

    moments = [(datetime.fromisoformat(each["local"]), datetime.fromisoformat(each["utc"])) for each in rows]
    assert all(local == utc for local, utc in moments)
    assert {local.strftime("%H:%M") for local, _ in moments} == {"02:30", "03:00"}  # once a year the clock skips it
    assert text[0].split() == ["EUROPE/BERLIN", "UTC"]
    first = moments[0][1]
    assert (
        text[1].split()
        == first.astimezone(ZoneInfo("Europe/Berlin")).strftime("%Y-%m-%d %H:%M:%S %Z").split()
        + first.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S").split()
    )


def test_what_became_of_occurrences_is_shown(command: Wfe, own_store: Store) -> None:
    start = datetime(2026, 1, 1, tzinfo=UTC).isoformat()
    command(
        "schedules", "create", "yearly", "elsewhere", "--cron", "0 0 1 * *", "--start", start, "--catch-up", "latest"
    )

    Processor(own_store, RecordingDispatcher()).execute(FireTimers(limit=10))

    (fired, *skipped) = command("schedules", "show", "yearly", "--json").json["occurrences"]
    assert fired["run_id"] in command("schedules", "show", "yearly").out
    assert all(each["skipped"] == "late" for each in skipped)
    (run,) = command("runs", "list", "--json").json
    assert (run["id"], run["metadata"]) == (fired["run_id"], {"schedule": "yearly"})


MISTAKES = [
    (("create", "a b", "orders", "--cron", "@daily"), 2, "error: name: schedule name 'a b' may only have"),
    (("create", "x", "orders"), 2, "error: cron: give either cron or rrule"),
    (("create", "x", "orders", "--cron", "0 0 30 2 *"), 2, "error: cron: '0 0 30 2 *' is not a cron expression"),
    (("create", "x", "orders", "--rrule", "FREQ=SECONDLY"), 2, "error: rrule: would fire more often"),
    (("create", "x", "order", "--cron", "@daily"), 2, "(did you mean 'orders'?)"),
    (("create", "x", "orders", "--cron", "@daily", "--time-zone", "Berlin"), 2, "error: time_zone: 'Berlin'"),
    (("create", "x", "orders", "--cron", "@daily", "--start", "noon"), 2, "--start: 'noon' is not an ISO 8601"),
    (("create", "x", "orders", "--cron", "@daily", "--input", "{"), 2, "--input is not JSON"),
    (("create", "x", "orders", "--cron", "@daily", "--input", '{"amount": "many"}'), 2, "amount"),
    (("create", "x", "orders", "--cron", "@daily", "--overlap", "perhaps"), 2, "'perhaps' is not one of"),
    (("update", "nightly"), 2, "say what to change"),
    (("update", "gone", "--title", "t"), 1, "error: no schedule 'gone' is in namespace 'default'"),
    (("show", "gone"), 1, "error: no schedule 'gone'"),
    (("pause", "gone"), 1, "error: no schedule 'gone'"),
    (("resume", "gone"), 1, "error: no schedule 'gone'"),
    (("next", "gone"), 1, "error: no schedule 'gone'"),
    (("delete", "gone", "--yes"), 1, "error: no schedule 'gone'"),
    (("next", "gone", "--count", "0"), 2, "--count"),
    (("list", "--limit", "0"), 2, "--limit"),
]


def test_a_mistake_is_one_line_and_an_exit_code(command: Wfe) -> None:
    for arguments, code, said in MISTAKES:
        ended = command("schedules", *arguments)

        assert (ended.code, ended.err.count("\n")) == (code, 1), ended.err
        assert said in ended.err
    assert command("schedules", "list", "--json").json == []

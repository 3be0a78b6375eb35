"""``wfe submit --inputs``, ``wfe runs list|stats|update|delete|bulk``: with a database and a broker, and no worker."""

import json
from pathlib import Path

import pytest

from tests.integration.cli.running import Ended, wfe


@pytest.fixture
def here(nowhere: Path, cloned_database: str, broker_url: str, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with a database of its own."""
    monkeypatch.setenv("WFE_DATABASE_URL", cloned_database)
    monkeypatch.setenv("WFE_BROKER_URL", broker_url)
    monkeypatch.setenv("WFE_QUEUE", "nobody_reads_it")
    monkeypatch.setenv("WFE_WORKFLOWS", "shop")
    return nowhere


def listed(*options: str) -> list[str]:
    return [run["id"] for run in wfe("runs", "list", "--json", *options).json]


def submit(*options: str) -> str:
    return str(wfe("submit", "orders", "--input", '{"amount": 1}', "--json", *options).json["id"])


def submit_lines(folder: Path, lines: list[str], *options: str) -> Ended:
    (folder / "inputs.jsonl").write_text("".join(f"{line}\n" for line in lines))
    return wfe("submit", "orders", "--inputs", "inputs.jsonl", *options)


def test_each_line_of_a_file_is_a_run_and_a_key_makes_it_repeatable(here: Path) -> None:
    lines = [json.dumps({"amount": number}) for number in range(1, 4)]

    first = submit_lines(here, [lines[0], "", *lines[1:]], "--key", "import-7", "--tag", "imported")
    again = submit_lines(here, [lines[0], "", *lines[1:]], "--key", "import-7", "--json")

    assert first.code == again.code == 0
    assert first.err == "3 runs submitted\n"
    assert listed("--tag", "imported", "--oldest") == first.out.split()
    told = [json.loads(line) for line in again.out.splitlines()]
    assert told == [{"id": run_id, "created": False} for run_id in first.out.split()]
    assert listed("--key", "import-7-3") == [first.out.split()[1]]


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (['{"amount": 1}', "{amount}"], "inputs.jsonl, line 2, is not JSON"),
        (['{"amount": 1}', "", '{"amount": "many"}'], "line 3.input"),
    ],
)
def test_a_line_that_is_refused_is_named_and_nothing_is_stored(here: Path, lines: list[str], said: str) -> None:
    ended = submit_lines(here, lines)

    assert ended.code in (1, 2)
    assert said in ended.err
    assert listed() == []


@pytest.mark.parametrize("options", [["--wait"], ["--input", "1"], ["--input-file", "x"]])
def test_inputs_exclude_what_is_about_one_run(here: Path, options: list[str]) -> None:
    assert submit_lines(here, ["1"], *options).code == 2
    assert wfe("submit", "orders", "--inputs", "not-there").code == 2


def test_a_list_goes_on_where_it_ended(here: Path) -> None:
    runs = [submit() for _ in range(3)][::-1]

    page = wfe("runs", "list", "--limit", "2", "--json", "--paged").json
    rest = wfe("runs", "list", "--limit", "2", "--json", "--paged", "--cursor", page["next"]).json
    table = wfe("runs", "list", "--limit", "2")

    assert [run["id"] for run in page["items"]] == runs[:2]
    assert ([run["id"] for run in rest["items"]], rest["next"]) == (runs[2:], None)
    assert "input" not in page["items"][0]
    assert wfe("runs", "list", "--limit", "1", "--json", "--with-input").json[0]["input"]["amount"] == 1
    assert table.err == f"more: --cursor {page['next']}\n"
    wrong = wfe("runs", "list", "--cursor", page["next"], "--tag", "x")
    assert (wrong.code, "cursor" in wrong.err) == (2, True)


def test_a_list_is_narrowed_by_all_that_runs_have(here: Path) -> None:
    wanted = submit(
        *("--tag", "eu", "--metadata", '{"region": {"name": "eu"}}', "--agent", "smith", "--actor", "ada"),
        *("--correlation-id", "c-1", "--title", "Order 17", "--due-at", "2040-01-31T12:00:00Z", "--key", "k"),
    )
    submit()

    for options in (
        ["--tag", "eu"],
        ["--metadata", '{"region": {"name": "eu"}}', "--state", "pending"],
        ["--agent", "smith"],
        ["--initiator", "ada"],
        ["--correlation-id", "c-1"],
        ["--key", "k", "--workflow", "orders"],
        ["--title", "order"],
        ["--due-before", "2041-01-01T00:00:00Z"],
    ):
        assert listed(*options) == [wanted], options
    assert listed("--workflow", "orders", "--version", "7") == []
    assert listed("--created-before", "2020-01-01") == listed("--finished-after", "2020-01-01") == []
    assert wfe("runs", "list", "--version", "1").code == 2
    assert wfe("runs", "list", "--metadata", "{").code == 2


def test_runs_are_updated_and_deleted_one_by_one_and_by_filter(here: Path) -> None:
    run, other = submit("--tag", "a", "--metadata", '{"x": 1}'), submit("--tag", "a")

    updated = wfe("runs", "update", run, "--priority", "high", "--metadata", '{"x": null, "y": 2}', "--json").json
    would = wfe("runs", "bulk", "update", "--tag", "a", "--set-title", "both", "--dry-run")
    done = wfe("runs", "bulk", "update", "--tag", "a", "--set-title", "both", "--set-priority", "none", "--json").json

    assert updated == {"id": run, "changed": ["metadata", "priority"]}
    assert would.out.splitlines() == [f"{each}  would update" for each in (run, other)]
    assert done["done"] == [run, other]
    found = {each["id"]: each for each in wfe("runs", "list", "--json").json}
    assert [found[each]["title"] for each in (run, other)] == ["both", "both"]
    assert (found[run]["metadata"], found[run]["priority"]) == ({"y": 2}, None)
    assert wfe("runs", "update", run).code == 2

    refused = wfe("runs", "delete", run)
    assert (refused.code, "only what has ended can be deleted" in refused.err) == (1, True)
    for each in (run, other):
        wfe("runs", "cancel", each)
    assert wfe("runs", "delete", run, "--reason", "old").out == f"{run}  deleted\n"
    assert wfe("runs", "bulk", "delete", "--tag", "a", "--json").json["done"] == [other]
    assert listed() == []
    assert wfe("runs", "update", run, "--title", "x").code == 1


def test_runs_are_counted(here: Path) -> None:
    submit("--tag", "a")
    wfe("runs", "cancel", submit())

    found = wfe("runs", "stats", "--json").json

    assert (found["runs"], found["complete"]) == (2, True)
    assert found["states"] == {"pending": 1, "cancelled": 1}
    assert [each["workflow"] for each in found["workflows"]] == ["orders"]
    assert sum(each["submitted"] for each in found["hours"]) == 2
    assert wfe("runs", "stats", "--tag", "a", "--json").json["runs"] == 1
    assert "pending 1, cancelled 1" in wfe("runs", "stats").out
    assert wfe("runs", "stats", "--created-after", "2020-01-01").code == 2

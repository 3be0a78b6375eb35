"""Submitting, listing, showing, watching and cancelling, on the servers of a running `wfe dev`."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.integration.cli.conftest import Dev
from tests.integration.cli.running import CONTROL, Ended, wfe, wfe_process
from tests.support.processes import wait_until

pytestmark = pytest.mark.xdist_group("cli-dev")

NO_RUN = "01a1fcce-62e8-7dc7-b332-9160bd77770e"


def submitted(*options: str, **value: Any) -> str:
    """Submit an order and return the run's id."""
    ended = wfe("submit", "orders", "--input", json.dumps(value), "--json", *options)
    assert ended.code == 0, ended.err
    return str(ended.json["id"])


def test_a_run_that_is_waited_for_is_told_step_by_step(dev: Dev) -> None:
    ended = wfe("submit", "orders", "--input", '{"amount": 17, "attempts": 2}', "--wait")
    told = [line.split(maxsplit=1)[1] for line in ended.out.splitlines() if line[:2].isdigit()]
    states = [" ".join(line.split()[:4]) for line in told]

    assert ended.code == 0
    assert "validate succeeded attempt 1" in states
    assert "charge retrying attempt 1" in states
    assert "charge succeeded attempt 2" in states
    assert states.index("charge succeeded attempt 2") < states.index("ship running attempt 1")
    assert told[-1] == "run succeeded"
    assert 'ship: ["charged 17", "reserved"]' in ended.out.splitlines()
    assert not CONTROL.search(ended.out)


def test_a_run_that_is_waited_for_and_fails_is_a_failure(dev: Dev) -> None:
    ended = wfe("submit", "orders", "--input", '{"amount": -1}', "--wait")

    assert ended.code == 1
    assert "validate: NonRetryable: the amount must be positive" in ended.out
    as_json = wfe("submit", "orders", "--input", '{"amount": -1}', "--wait", "--json")
    assert as_json.code == 1
    assert (as_json.json["state"], as_json.json["error"]["step"]) == ("failed", "validate")


def test_the_result_is_json_for_programs(dev: Dev) -> None:
    ended = wfe("submit", "orders", "--input", '{"amount": 5}', "--wait", "--json")

    assert ended.code == 0
    assert ended.json["result"] == {"ship": ["charged 5", "reserved"]}


def test_a_wait_that_runs_out_of_time_is_a_failure_and_the_run_goes_on(dev: Dev, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    ended = wfe("submit", "orders", "--input", json.dumps({"gate": str(gate)}), "--wait", "--timeout", "0.5")
    run = wfe("runs", "list", "--limit", "1", "--json").json[0]["id"]

    assert ended.code == 1
    assert ended.err == f"error: run {run} is still 'running' after 0.5 s\n"
    gate.touch()
    assert wfe("runs", "watch", run).code == 0


def all_runs() -> list[str]:
    return [run["id"] for run in wfe("runs", "list", "--limit", "1000", "--json").json]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["orders", "--input", '{"amount": "many"}'], "input"),
        (["orders", "--input", "[1]"], "input"),
        (["orders", "--title", ""], "title"),
        (["orders", "--tag", "x" * 101], "tags"),
        (["orders", "--metadata", "[1]"], "metadata"),
        (["orders", "--metadata", "{"], "--metadata is not JSON"),
        (["orders", "--due-at", "tomorrow"], "--due-at: 'tomorrow' is not an ISO 8601 time"),
        (["orders", "--expires-in", "-1"], "expires_in"),
        (["ordrs"], "did you mean 'orders'?"),
        (["orders", "--version", "9"], "workflow 'orders' version '9' is not known"),
    ],
)
def test_what_is_refused_is_named_and_nothing_is_stored(dev: Dev, arguments: list[str], said: str) -> None:
    before = all_runs()
    ended = wfe("submit", *arguments)

    assert ended.code == 2
    assert ended.err.startswith("error: ")
    assert said in ended.err
    assert ended.err.count("\n") == 1
    assert all_runs() == before


def test_the_same_key_leads_to_the_same_run_and_another_input_is_a_conflict(dev: Dev) -> None:
    first = wfe("submit", "orders", "--input", '{"amount": 1}', "--key", "the-key", "--json").json
    again = wfe("submit", "orders", "--input", '{"amount": 1}', "--key", "the-key", "--json").json
    other = wfe("submit", "orders", "--input", '{"amount": 2}', "--key", "the-key")

    assert (first["created"], again["created"], again["id"]) == (True, False, first["id"])
    assert other.code == 1
    assert "idempotency key 'the-key'" in other.err


def test_input_comes_from_a_file_or_from_stdin_or_from_the_models_defaults(dev: Dev, tmp_path: Path) -> None:
    file = tmp_path / "input.json"
    file.write_text('{"amount": 3}')

    from_file = wfe("submit", "orders", "--input-file", file, "--json").json
    from_stdin = wfe("submit", "orders", "--input-file", "-", "--json", input='{"amount": 4}').json
    from_defaults = wfe("submit", "orders", "--json").json
    assert [each["input"]["amount"] for each in (from_file, from_stdin, from_defaults)] == [3, 4, 1]


def test_what_is_said_about_a_run_is_kept_with_it(dev: Dev) -> None:
    run = submitted(
        *("--title", "For Ada", "--description", "more", "--tag", "a", "--tag", "b", "--metadata", '{"k": 1}'),
        *("--priority", "high", "--correlation-id", "c-1", "--initiator", "me", "--agent", "ada"),
        *("--due-at", "2040-01-31T12:00:00Z", "--expires-in", "600"),
    )
    kept = wfe("runs", "show", run, "--json").json

    assert {name: kept[name] for name in ("title", "description", "tags", "metadata", "correlation_id", "agent")} == {
        "title": "For Ada",
        "description": "more",
        "tags": ["a", "b"],
        "metadata": {"k": 1},
        "correlation_id": "c-1",
        "agent": "ada",
    }
    assert kept["initiator"] == "me"
    assert kept["due_at"].startswith("2040-01-31T12:00:00")


def test_the_list_can_be_narrowed(dev: Dev) -> None:
    good = submitted("--tag", "narrow", amount=1)
    bad = submitted("--tag", "narrow", amount=-1)
    for run in (good, bad):
        wfe("runs", "watch", run)

    def listed(*options: str) -> list[str]:
        return [run["id"] for run in wfe("runs", "list", "--tag", "narrow", "--json", *options).json]

    assert listed() == [bad, good]
    assert listed("--limit", "1") == [bad]
    assert listed("--state", "failed") == [bad]
    assert listed("--state", "failed", "--state", "succeeded") == [bad, good]
    assert listed("--workflow", "elsewhere") == []
    table = wfe("runs", "list", "--tag", "narrow").out.splitlines()
    assert table[0].split() == ["RUN", "WORKFLOW", "STATE", "SUBMITTED", "TOOK", "ABOUT"]
    assert table[1].split()[:3] == [bad, "orders", "failed"]
    assert table[1].endswith("validate: NonRetryable: the amount must be positive")
    assert wfe("runs", "list", "--tag", "nobody-has-it").out == "no runs\n"


def test_a_run_is_shown_with_its_steps(dev: Dev) -> None:
    run = submitted("--title", "shown", amount=-1)
    wfe("runs", "watch", run)
    shown = wfe("runs", "show", run)
    lines = [line.split() for line in shown.out.splitlines()]

    assert shown.code == 0
    assert ["state", "failed"] in lines
    assert ["title", "shown"] in lines
    assert lines[-5] == ["STEP", "STATE", "ATTEMPT", "TOOK", "ERROR"]
    assert lines[-4][:3] == ["validate", "failed", "1"]
    assert [line[1] for line in lines[-3:]] == ["cancelled"] * 3
    as_json = wfe("runs", "show", run, "--json").json
    assert [step["name"] for step in as_json["steps"]] == ["validate", "charge", "reserve", "ship"]
    assert as_json["result"] == {}


@pytest.mark.parametrize("command", ["show", "watch", "cancel"])
@pytest.mark.parametrize("run", [NO_RUN, "not-an-id"])
def test_a_run_that_is_not_there_is_a_failure(dev: Dev, command: str, run: str) -> None:
    ended = wfe("runs", command, run)

    assert ended.code == 1
    assert ended.err == f"error: no run has the id {run!r}\n"


def test_a_watched_run_is_told_as_json_lines_for_programs(dev: Dev) -> None:
    run = submitted(amount=8)
    ended = wfe("runs", "watch", run, "--json")
    events = [json.loads(line) for line in ended.out.splitlines()]

    assert ended.code == 0
    assert (events[0]["name"], events[-1]["name"]) == ("run.submitted", "run.succeeded")
    assert sorted(event["step"] for event in events if event["name"] == "step.completed") == [
        "charge",
        "reserve",
        "ship",
        "validate",
    ]


def test_a_run_is_cancelled_and_then_cannot_be_cancelled_again(dev: Dev, tmp_path: Path) -> None:
    run = submitted(gate=str(tmp_path / "never"))
    wait_until(lambda: wfe("runs", "show", run, "--json").json["state"] == "running")
    cancelled = wfe("runs", "cancel", run, "--reason", "changed my mind", "--json")

    assert cancelled.code == 0
    assert cancelled.json["cancelled"] is True
    assert wfe("runs", "watch", run).code == 1
    assert wfe("runs", "show", run, "--json").json["state"] == "cancelled"
    assert wfe("runs", "cancel", run).code == 0  # it is what was asked for

    done = submitted(amount=1)
    wfe("runs", "watch", done)
    too_late = wfe("runs", "cancel", done)
    assert too_late.code == 1
    assert too_late.out == f"{done}  succeeded: it had ended already\n"


def test_a_deadline_is_shown_moved_and_taken_back(dev: Dev, tmp_path: Path) -> None:
    due = ("--due-at", "2040-01-31T12:00:00Z", "--remind-before", "1d,90m", "--run-timeout", "2h")
    run = submitted(*due, gate=str(tmp_path / "never"))
    shown = wfe("runs", "show", run).out
    moved = wfe("runs", "reschedule", run, "--due-at", "2041-01-31T12:00:00Z", "--remind-before", "45s")
    again = wfe("runs", "reschedule", run, "--remind-before", "45", "--json").json

    assert "reminders 24 h 00 min, 1 h 30 min before" in shown
    assert [line.split() for line in shown.splitlines() if line.startswith("timeout")] == [
        ["timeout", "2", "h", "00", "min"]
    ]
    assert (moved.code, "2041-01-31" in moved.out, "reminders 45.0 s before" in moved.out) == (0, True, True)
    assert (again["changed"], again["remind_before"], again["timeout"]) == (False, [45], 7_200)
    assert wfe("runs", "reschedule", run, "--no-reminders", "--json").json["remind_before"] == []
    assert wfe("runs", "reschedule", run, "--no-due-at").out == f"{run}  due at no time\n"

    wfe("runs", "cancel", run)
    refused = wfe("runs", "reschedule", run, "--due-at", "2041-01-31T12:00:00Z")
    assert refused.code != 0
    assert f"run {run} is cancel" in refused.err


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ([], "nothing to change"),
        (["--due-at", "soon"], "--due-at: 'soon' is not an ISO 8601 time"),
        (["--remind-before", "1h,soon"], "--remind-before: 'soon' is not a length of time such as 90s, 10m, 1h or 2d"),
        (["--due-at", "2040-01-31T12:00:00Z", "--no-due-at"], "exclude each other"),
        (["--no-reminders", "--remind-before", "1h"], "exclude each other"),
        (["--no-due-at", "--remind-before", "1h"], "--remind-before needs"),
    ],
)
def test_a_deadline_that_cannot_be_is_refused(options: list[str], said: str) -> None:
    refused = wfe("runs", "reschedule", NO_RUN, *options)

    assert (refused.code, said in refused.err) == (2, True)


def test_commands_in_a_folder_below_find_the_same_servers_and_workflows(dev: Dev) -> None:
    below = dev.folder / "some" / "where"
    below.mkdir(parents=True, exist_ok=True)
    ended = wfe_process("submit", "orders", "--input", '{"amount": 9}', "--wait", cwd=below, PYTHONPATH="")

    assert ended.code == 0, ended.err
    assert "charged 9" in ended.out
    refused = wfe_process("submit", "orders", "--input", '{"amount": []}', cwd=below, PYTHONPATH="")
    assert refused.code == 2, "the workflow's own model is known there too"


def test_workflows_are_listed_with_when_they_were_first_submitted(dev: Dev) -> None:
    submitted(amount=1)
    found = {each["workflow"]: each for each in wfe("workflows", "list", "--json").json}

    assert found["orders"]["loaded"] is True
    assert found["orders"]["registered_at"] is not None
    assert found["elsewhere"]["loaded"] is True


def test_a_workflow_whose_code_is_not_here_is_drawn_from_the_database(dev: Dev, nowhere: Path) -> None:
    submitted_there = {
        "WFE_DATABASE_URL": dev.attached.database_url,
        "WFE_BROKER_URL": dev.attached.broker_url,
    }
    assert wfe("submit", "orders", WFE_WORKFLOWS="shop", **submitted_there).code == 0

    shown = wfe("workflows", "show", "orders", **submitted_there)
    assert "validate ─┬─ charge ──┬─ ship" in shown.out
    assert wfe("workflows", "show", "ordrs", **submitted_there).code == 2


def test_a_run_is_explained_while_it_stands_and_when_it_has_ended(dev: Dev, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    run = submitted(gate=str(gate))
    wait_until(lambda: "charge has run for" in wfe("runs", "explain", run).out)

    ended = wfe("runs", "explain", run)
    as_json = wfe("runs", "explain", run, "--json").json
    gate.touch()
    wait_until(lambda: wfe("runs", "explain", run, "--json").json["reason"] == "succeeded")

    assert ended.out.startswith(f"{run} is running: step charge has run for ")
    assert "waits for charge (running)" in ended.out
    assert not CONTROL.search(ended.out)
    assert (as_json["reason"], as_json["step"]) == ("running", "charge")
    assert {step["step"]: step["reason"] for step in as_json["steps"]}["ship"] == "waits_for_parents"
    assert wfe("runs", "explain", run).out.startswith(f"{run} is succeeded: it succeeded after ")


def test_a_run_that_is_not_there_cannot_be_explained(dev: Dev) -> None:
    ended = wfe("runs", "explain", NO_RUN)

    assert ended.code == 1
    assert NO_RUN in ended.err


def test_a_run_that_stands_still_is_listed_with_the_reason_and_one_at_work_is_not(dev: Dev, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    at_work = submitted(gate=str(gate))
    run = str(wfe("submit", "elsewhere", "--json").json["id"])  # its queue has no worker

    def stale(*options: str) -> Ended:
        return wfe("runs", "list", "--stale", "--limit", "1000", *options, WFE_STALE_AFTER_SECONDS="1")

    def found() -> dict[str, Any]:
        return {each["run_id"]: each for each in stale("--json").json}

    listed = wait_until(lambda: each if (each := found().get(run)) and each["level"] == "stale" else None)
    shown = stale()
    still_at_work = at_work not in found()
    gate.touch()

    assert (listed["reason"], listed["step"], listed["limit"]) == ("no_worker", "answer", 1)
    assert listed["stands_for"] >= 1
    assert still_at_work
    assert [column for column in ("STANDS FOR", "LIMIT", "LEVEL", "WHY") if column not in shown.out] == []
    assert run in shown.out
    assert "no run stands still" in wfe("runs", "list", "--stale").out
    assert wfe("runs", "cancel", run).code == 0


def test_stale_runs_are_not_narrowed_down_by_what_they_are_not_asked_for(dev: Dev) -> None:
    for option in (["--workflow", "orders"], ["--state", "running"], ["--tag", "eu"]):
        ended = wfe("runs", "list", "--stale", *option)

        assert ended.code == 2
        assert "--stale goes with --limit and --json only" in ended.err

"""``wfe events``: the catalogue without any server, and the log of the servers of a running `wfe dev`."""

import json
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from tests.integration.cli.conftest import Dev
from tests.integration.cli.running import CONTROL, Command, wfe
from workflow_engine.model.codec import event_from_json
from workflow_engine.model.event_schemas import asyncapi, catalogue_schema
from workflow_engine.model.events import CATALOGUE
from workflow_engine.model.records import EventRecord

pytestmark = pytest.mark.xdist_group("cli-dev")

NO_RUN = "01a1fcce-62e8-7dc7-b332-9160bd77770e"
ORDER = [
    *("run.submitted", "run.started", "run.succeeded"),
    *("step.dispatched", "step.started", "step.completed"),
]


def tailed(*options: str) -> list[EventRecord]:
    """Return what ``wfe events tail --json`` prints, read back."""
    ended = wfe("events", "tail", "--json", *options)
    assert ended.code == 0, ended.err
    return [event_from_json(line) for line in ended.out.splitlines()]


@pytest.fixture
def run_id(dev: Dev) -> str:
    """A run that has succeeded."""
    ended = wfe("submit", "orders", "--input", '{"amount": 3}', "--wait", "--json")
    assert ended.code == 0, ended.err
    return str(ended.json["id"])


def test_the_catalogue_is_listed_without_any_server(nowhere: Path) -> None:
    ended = wfe("events", "list")

    assert ended.code == 0
    assert [line.split()[0] for line in ended.out.splitlines()[1:]] == list(CATALOGUE)
    assert "A run was accepted and stored." in ended.out
    assert not CONTROL.search(ended.out)


def test_the_list_is_json_for_programs(nowhere: Path) -> None:
    listed = {each["name"]: each for each in wfe("events", "list", "--json").json}

    assert list(listed) == list(CATALOGUE)
    for name, payload in CATALOGUE.items():
        assert listed[name]["version"] == payload.schema_version
        assert listed[name]["fired_by"] == payload.fired_by.split(", ")
        assert [field["name"] for field in listed[name]["fields"]] == list(payload.model_fields)


@pytest.mark.parametrize("name", CATALOGUE)
def test_an_event_is_shown_with_its_fields_and_an_example(name: str, nowhere: Path) -> None:
    payload = CATALOGUE[name]

    ended = wfe("events", "show", name)
    shown = [line.split() for line in ended.out.splitlines()]
    example = json.loads(ended.out.partition("\nexample: ")[2])

    assert ended.code == 0
    assert ["how", "often", *payload.frequency.split()] in shown
    assert ["fired", "by", *payload.fired_by.split()] in shown
    assert {line[0] for line in shown if line} >= payload.model_fields.keys()
    assert example == payload.example


def test_an_unknown_event_is_wrong_usage_and_the_closest_is_named(nowhere: Path) -> None:
    for arguments in (["show", "step.complete"], ["schema", "step.complete"], ["show", "step.complete", "--schema"]):
        ended = wfe("events", *arguments)

        assert (ended.code, ended.out) == (2, "")
        assert ended.err == (
            "error: event 'step.complete' is not in the catalogue (did you mean 'step.completed'?): "
            "`wfe events list` shows what is\n"
        )


def test_schemas_are_printed_whole(nowhere: Path) -> None:
    assert wfe("events", "schema").json == catalogue_schema()
    assert wfe("events", "schema", "--asyncapi").json == asyncapi()
    assert wfe("events", "schema", "run.failed").json == wfe("events", "show", "run.failed", "--schema").json
    assert wfe("events", "schema", "run.failed", "--asyncapi").code == 2


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--name", "step.complete"], "--name 'step.complete' matches no event (did you mean 'step.completed'?)"),
        (["--name", "job.*"], "--name 'job.*' matches no event"),
        (["--since", "soon"], "'soon' is neither a time (2026-01-31T12:00) nor a duration"),
        (["--since", "99999999999d"], "is neither a time"),
        (["--limit", "-1"], "--limit"),
    ],
)
def test_a_wrong_tail_is_told_in_one_line(arguments: list[str], said: str, nowhere: Path) -> None:
    ended = wfe("events", "tail", *arguments)

    assert (ended.code, ended.out) == (2, "")
    assert said in ended.err
    assert ended.err.count("\n") == 1


def test_a_run_that_is_not_there_has_no_events(dev: Dev) -> None:
    ended = wfe("events", "tail", "--run", NO_RUN)

    assert ended.code == 1
    assert NO_RUN in ended.err


def test_the_events_of_a_run_fit_the_schemas_and_come_in_order(run_id: str) -> None:
    lines = wfe("events", "tail", "--run", run_id, "--json").out.splitlines()
    events = [event_from_json(line) for line in lines]
    fits = Draft202012Validator(catalogue_schema())

    assert {event.name for event in events} == set(ORDER)
    assert (events[0].name, events[-1].name) == ("run.submitted", "run.succeeded")
    assert {event.run_id for event in events} == {run_id}
    assert [event.position for event in events] == sorted(event.position or 0 for event in events)
    for line in lines:
        fits.validate(json.loads(line))


def test_a_person_gets_a_line_for_each_event(run_id: str) -> None:
    ended = wfe("events", "tail", "--run", run_id, "--limit", "100")
    lines = ended.out.splitlines()

    assert len(lines) == len(tailed("--run", run_id, "--limit", "100"))
    assert all(run_id in line for line in lines)
    assert any("step.completed" in line and "validate" in line and "seconds=" in line for line in lines)
    assert not CONTROL.search(ended.out)


def test_the_newest_twenty_are_shown_unless_told_otherwise(run_id: str) -> None:
    wfe("submit", "orders", "--input", '{"amount": 4}', "--wait")
    everything = tailed("--limit", "100000", "--namespace", "*")

    assert len(everything) > 20
    assert tailed("--namespace", "*") == everything[-20:]
    assert tailed("--limit", "3", "--namespace", "*") == everything[-3:]
    assert tailed("--limit", "0") == []


def test_events_are_filtered_by_name_workflow_namespace_and_time(run_id: str) -> None:
    of_run = tailed("--run", run_id, "--limit", "1000")

    def kept(*options: str) -> list[EventRecord]:
        return tailed("--run", run_id, "--limit", "1000", *options)

    assert kept("--name", "run.*") == [event for event in of_run if event.name.startswith("run.")]
    assert kept("--name", "run.submitted", "--name", "run.suc*") == [of_run[0], of_run[-1]]
    assert kept("--workflow", "orders") == of_run
    assert kept("--workflow", "others") == []
    assert kept("--namespace", "default") == of_run
    assert kept("--namespace", "elsewhere") == []
    assert tailed("--since", "1h", "--run", run_id) == of_run
    assert tailed("--since", of_run[-1].occurred_at.isoformat(), "--run", run_id)[-1] == of_run[-1]
    assert tailed("--since", "2099-01-01") == []


def test_following_tells_what_was_and_what_comes_and_ends_quietly(
    dev: Dev, run_id: str, start: Callable[..., Command]
) -> None:
    command = start("events", "tail", "--follow", "--json", "--name", "run.*", "--limit", "3", cwd=dev.folder)
    command.wait_for(run_id)

    later = wfe("submit", "orders", "--input", '{"amount": 5}', "--wait", "--json").json["id"]
    wanted = [event for event in tailed("--run", later, "--limit", "100") if event.name.startswith("run.")]
    command.wait_for(wanted[-1].event_id)

    assert command.stop(signal.SIGINT) == 0
    events = [event_from_json(line) for line in command.output.splitlines()]
    assert [event for event in events if event.run_id == later] == wanted
    assert len({event.event_id for event in events}) == len(events)


def test_the_log_is_read_without_the_workflows_of_its_runs(
    dev: Dev, run_id: str, tmp_path: Path, start: Callable[..., Command]
) -> None:
    servers: dict[str, Any] = {
        "WFE_DATABASE_URL": dev.attached.database_url,
        "WFE_BROKER_URL": dev.attached.broker_url,
        "WFE_WORKFLOWS": "no_such_module",
    }

    command = start("events", "tail", "--run", run_id, "--follow", cwd=tmp_path, **servers)

    command.wait_for("run.succeeded")
    assert command.stop(signal.SIGINT) == 0
    assert "Traceback" not in command.output


def test_the_help_names_every_subcommand() -> None:
    ended = wfe("events", "--help")

    for name in ("list", "show", "schema", "tail"):
        assert f"\n  {name} " in ended.out
        assert wfe("events", name, "--help").code == 0

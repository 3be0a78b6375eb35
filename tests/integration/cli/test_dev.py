"""`wfe dev` as a process: what it prints, what it leaves, and what remains when it is killed."""

import os
import signal
import urllib.request
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest
import redis

from tests.integration.cli.conftest import Dev
from tests.integration.cli.running import CONTROL, Command, wfe, wfe_process
from tests.integration.embedded.running import processes_using
from tests.support.processes import wait_until
from workflow_engine.embedded.attach import Attached, find_running

pytestmark = pytest.mark.xdist_group("cli-dev")


def test_what_the_table_names_answers(dev: Dev) -> None:
    printed = dev.command.output
    facts = dict(line.strip().split(maxsplit=1) for line in printed.splitlines() if line.startswith("  "))

    assert facts["Workflows"] == "orders 1, elsewhere 2"
    assert facts["Metrics"] == "off: set WFE_METRICS_PORT"
    with urllib.request.urlopen(f"{facts['Flower']}/api/workers?refresh=1", timeout=5) as answer:
        assert b"worker@" in answer.read()
    with urllib.request.urlopen(f"{facts['API'].split()[0]}/v1/workflows", timeout=5) as answer:
        assert b'"name":"elsewhere"' in answer.read()
    with psycopg.connect(facts["PostgreSQL"]) as database:
        assert database.execute("SELECT count(*) >= 0 FROM runs").fetchone() == (True,)
    with redis.Redis.from_url(facts["Broker"]) as broker:
        assert broker.ping()
    assert not CONTROL.search(printed)


def test_it_says_where_it_runs_and_what(dev: Dev) -> None:
    assert dev.attached.workflows == ("devshop",)
    assert dev.attached.links["Flower"] in dev.command.output


def test_a_second_one_in_the_same_folder_is_refused(dev: Dev) -> None:
    ended = wfe_process("dev", cwd=dev.folder)

    assert ended.code == 2
    assert f"is in use by process {dev.command.pid}" in ended.err
    assert ended.err.count("\n") == 1


def test_a_workflow_that_the_subscribers_file_misspells_is_told_of_before_anything_runs(
    dev: Dev, tmp_path: Path
) -> None:
    file = tmp_path / "subs.yml"
    file.write_text("subscribers: {audit: {workflows: [ordres]}}")

    ended = wfe_process("dev", "--workflows", "devshop", cwd=dev.folder, WFE_SUBSCRIBERS_FILE=str(file))

    said = "no workflow 'ordres' is known here, did you mean 'orders'?"
    assert ended.err.startswith(f"warning: {file}: subscribers.audit.workflows: {said}\nerror: ")


@pytest.mark.slow
def test_data_outlives_a_killed_one_and_nothing_else_does(nowhere: Path, start: Callable[..., Command]) -> None:
    project = nowhere / "project"
    project.mkdir()
    killed = start("dev", "--workflows", "shop", cwd=project)
    killed.wait_for("Ctrl-C stops everything")
    urls = environment_of(find_running(project))
    run = wfe("submit", "orders", "--wait", "--json", WFE_WORKFLOWS="shop", **urls).json["id"]
    os.kill(killed.pid, signal.SIGKILL)
    wait_until(lambda: processes_using(project) == [], why="children die with their parent")
    assert find_running(project) is None

    again = start("dev", "--workflows", "shop", cwd=project)
    again.wait_for("Ctrl-C stops everything")
    urls = environment_of(find_running(project))
    assert [each["id"] for each in wfe("runs", "list", "--json", **urls).json] == [run]
    assert again.stop(signal.SIGINT) == 0
    assert again.output.endswith("stopping (SIGINT)\nstopped\n")
    assert processes_using(project) == []
    assert find_running(project) is None


def test_given_servers_are_used_instead_of_started_and_data_is_forgotten_on_request(
    dev: Dev, tmp_path: Path, start: Callable[..., Command]
) -> None:
    of_before = tmp_path / ".workflow_engine" / "postgres" / "data"
    of_before.mkdir(parents=True)
    guest = start("dev", "--no-keep-data", cwd=tmp_path, WFE_METRICS_PORT="0", **environment_of(dev.attached))

    assert dev.attached.database_url in guest.wait_for("Ctrl-C stops everything")
    assert "none: name their modules with --workflows" in guest.output
    assert "on free ports, which the logs name" in guest.output
    assert not of_before.exists()
    assert guest.stop() == 0
    assert not (tmp_path / ".workflow_engine" / "logs").exists()


def environment_of(attached: Attached | None) -> dict[str, str]:
    assert attached is not None
    return {"WFE_DATABASE_URL": attached.database_url, "WFE_BROKER_URL": attached.broker_url}

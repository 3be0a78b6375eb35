"""What people find in Flower: tasks with the names of steps, and a run by the link that `wfe runs show` prints."""

import base64
import json
import urllib.request
from collections.abc import Callable
from typing import Any
from urllib.error import HTTPError
from urllib.parse import parse_qs, quote, urlencode, urlsplit

import pytest

from tests.integration.cli.conftest import Dev
from tests.integration.cli.running import Command, wfe
from tests.support.processes import wait_until

pytestmark = pytest.mark.xdist_group("cli-dev")


def search(flower: str, words: str) -> list[dict[str, Any]]:
    """Return the tasks that Flower's page of tasks lists for what is typed into its search field."""
    asked = {
        "draw": 1,
        "start": 0,
        "length": 100,
        "search[value]": words,
        "order[0][column]": 0,
        "order[0][dir]": "asc",
        "columns[0][data]": "uuid",
    }
    with urllib.request.urlopen(f"{flower}/tasks/datatable?{urlencode(asked)}", timeout=5) as answer:
        found = json.load(answer)
    assert "searchError" not in found, found
    return list(found["data"])


def submitted(**value: Any) -> dict[str, Any]:
    ended = wfe("submit", "orders", "--input", json.dumps(value), "--wait", "--json")
    return wfe("runs", "show", ended.json["id"], "--json").json  # type: ignore[no-any-return]


def test_a_run_links_to_its_tasks_in_flower(dev: Dev) -> None:
    flower = dev.attached.links["Flower"]
    run = submitted(amount=2, attempts=2)
    link = run["links"]["flower"]
    words = f"name:{parse_qs(urlsplit(link).query)['name'][0]}"

    ours = ["charge.1", "charge.2", "reserve.1", "ship.1", "validate.1"]
    done = {"SUCCESS", "RETRY"}
    wait_until(lambda: [t["state"] in done for t in search(flower, words)] == [True] * len(ours), why="Flower has them")
    tasks = search(flower, words)
    assert link.startswith(f"{flower}/tasks?")
    assert f"flower     {link}" in wfe("runs", "show", run["id"]).out
    assert [task["uuid"] for task in tasks] == [f"{run['id']}.{each}" for each in ours]
    assert [task["name"] for task in tasks] == [f"orders.{each.partition('.')[0]}" for each in ours]
    assert {task["root_id"] for task in tasks} == {run["id"]}
    assert tasks[1]["args"] == f"(run={run['id']}, step=charge, attempt=2)"
    assert [task["state"] for task in tasks][:2] == ["RETRY", "SUCCESS"]
    with urllib.request.urlopen(f"{flower}/task/{run['id']}.charge.2", timeout=5) as page:
        assert f"charged {2}" in page.read().decode()


def test_flower_filters_by_workflow_and_by_step(dev: Dev) -> None:
    flower = dev.attached.links["Flower"]
    run = submitted()["id"]
    wait_until(lambda: search(flower, f"name:orders.ship {run}"), why="Flower has seen its last step")

    assert {task["name"] for task in search(flower, "name:orders.")} >= {"orders.validate", "orders.ship"}
    assert {task["name"] for task in search(flower, "name:orders.reserve")} == {"orders.reserve"}
    by_name = f"{flower}/api/tasks?limit=100&taskname={quote('orders.charge')}"
    with urllib.request.urlopen(by_name, timeout=5) as answer:
        assert {task["name"] for task in json.load(answer).values()} == {"orders.charge"}


def test_flower_takes_its_login_from_the_environment(dev: Dev, start: Callable[..., Command]) -> None:
    flower = start("flower", cwd=dev.folder, FLOWER_BASIC_AUTH="ada:secret")
    address = flower.wait_for("Visit me at http://127.0.0.1:").partition("Visit me at ")[2].split()[0]

    with pytest.raises(HTTPError, match="401"):
        urllib.request.urlopen(f"{address}/tasks", timeout=5)
    login = {"Authorization": f"Basic {base64.b64encode(b'ada:secret').decode()}"}
    with urllib.request.urlopen(urllib.request.Request(f"{address}/api/workers", headers=login), timeout=5) as answer:
        assert answer.status == 200
    assert flower.stop() == 0


def test_without_flower_a_run_has_no_link_to_it(dev: Dev, monkeypatch: pytest.MonkeyPatch) -> None:
    run = wfe("runs", "list", "--limit", "1", "--json").json or [submitted()]
    monkeypatch.setenv("WFE_DATABASE_URL", dev.attached.database_url)
    monkeypatch.setenv("WFE_BROKER_URL", dev.attached.broker_url)

    assert wfe("runs", "show", run[0]["id"], "--json").json["links"] == {}
    monkeypatch.setenv("WFE_FLOWER_URL", "https://flower.example/")
    link = wfe("runs", "show", run[0]["id"], "--json").json["links"]["flower"]
    assert link.startswith("https://flower.example/tasks?name=")

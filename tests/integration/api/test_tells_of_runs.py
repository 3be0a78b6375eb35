"""What is told of a run by HTTP: its steps, its events, its timeline, its graph, and why it does not move."""

from collections.abc import Callable
from typing import Any

import httpx
import pytest

from tests.integration.api.walking import Walk

DETAILS = ["steps", "events", "timeline", "graph", "explain"]


@pytest.fixture
def run(http: httpx.Client) -> str:
    """A new run of ``orders``: charge, pack, ship."""
    made: str = http.post("/v1/workflows/orders/runs", json={"input": {"order_id": 17}}).json()["id"]
    return made


def pages(http: httpx.Client, path: str, limit: int) -> list[list[dict[str, Any]]]:
    found, cursor = [], None
    while True:
        answer = http.get(path, params={"limit": limit} | ({"cursor": cursor} if cursor else {}))
        assert answer.status_code == 200, answer.text
        found.append(answer.json()["items"])
        cursor = answer.json()["next"]
        if cursor is None:
            return found


def test_a_run_that_has_ended_shows_its_result(http: httpx.Client, run: str, walk: Walk) -> None:
    walk.finish(run, "charge", "pack", "ship")

    answer = http.get(f"/v1/runs/{run}").json()
    assert (answer["state"], answer["result"]) == ("succeeded", {"ship": "ship done"})


def test_steps_come_in_order_page_by_page(http: httpx.Client, run: str, walk: Walk) -> None:
    walk.finish(run, "charge")

    found = pages(http, f"/v1/runs/{run}/steps", 2)

    assert [[step["name"] for step in page] for page in found] == [["charge", "pack"], ["ship"]]
    assert [found[0][0][name] for name in ("state", "attempt", "result")] == ["succeeded", 1, "charge done"]


def test_events_come_in_order_page_by_page(http: httpx.Client, run: str, walk: Walk) -> None:
    walk.finish(run, "charge")

    found = [event["name"] for page in pages(http, f"/v1/runs/{run}/events", 2) for event in page]

    assert found[:2] == ["run.submitted", "step.dispatched"]
    assert "step.completed" in found


def test_the_graph_has_states_and_edges(http: httpx.Client, run: str, walk: Walk) -> None:
    walk.finish(run, "charge")

    graph = http.get(f"/v1/runs/{run}/graph").json()

    assert [(node["name"], node["state"]) for node in graph["nodes"]] == [
        ("charge", "succeeded"),
        ("pack", "dispatched"),
        ("ship", "waiting"),
    ]
    assert graph["edges"] == [{"source": "charge", "target": "pack"}, {"source": "pack", "target": "ship"}]


def test_the_timeline_has_every_attempt(http: httpx.Client, run: str, walk: Walk) -> None:
    walk.fail(run, "charge")
    assert http.post(f"/v1/dead-letters/{run}/charge/requeue").status_code == 200
    walk.hand_out()
    walk.finish(run, "charge")

    charge, pack, ship = http.get(f"/v1/runs/{run}/timeline").json()["items"]

    first, second = charge["attempts"]
    assert (first["state"], first["error"]) == ("failed", "CardDeclined: insufficient funds")
    assert (second["state"], second["error"]) == ("succeeded", None)
    assert first["dispatched_at"] <= first["started_at"] <= first["finished_at"] <= second["started_at"]
    assert [each["state"] for each in pack["attempts"]] == ["dispatched"]
    assert ship["attempts"] == []


def test_an_explanation_says_what_holds_a_run_up(http: httpx.Client, run: str) -> None:
    found = http.get(f"/v1/runs/{run}/explain").json()

    assert (found["reason"], found["step"]) == ("no_worker", "charge")
    assert found["steps"][1]["parents"] == [{"step": "charge", "state": "dispatched"}]


@pytest.mark.parametrize("what", ["", *(f"/{each}" for each in DETAILS)])
@pytest.mark.parametrize("run_id", ["17", "0193a5b2-7c3e-7d4a-8f1b-2c3d4e5f6071", "x" * 10_000, "%00", "' OR 1=1"])
def test_nothing_is_told_of_a_run_that_is_not_there(http: httpx.Client, run_id: str, what: str) -> None:
    answer = http.get(f"/v1/runs/{run_id}{what}")

    assert answer.status_code == 404
    assert answer.json()["title"] == "Run not found"


@pytest.mark.parametrize("what", DETAILS)
def test_nothing_is_told_of_a_run_of_another_namespace(http: httpx.Client, run: str, what: str) -> None:
    assert http.get(f"/v1/runs/{run}/{what}").status_code == 200
    assert http.get(f"/v1/runs/{run}/{what}", params={"namespace": "elsewhere"}).status_code == 404


@pytest.mark.parametrize("what", ["steps", "events", "timeline"])
@pytest.mark.parametrize("cursor", ["x", "", "AAAA", "ü", "x" * 2_001, "W10=", "0"])
def test_a_cursor_that_no_page_came_with_is_refused(http: httpx.Client, run: str, what: str, cursor: str) -> None:
    answer = http.get(f"/v1/runs/{run}/{what}", params={"cursor": cursor})

    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"] == "cursor"


def test_a_cursor_of_another_list_is_refused(http: httpx.Client, run: str) -> None:
    cursor = http.get(f"/v1/runs/{run}/steps", params={"limit": 1}).json()["next"]

    assert http.get(f"/v1/runs/{run}/events", params={"cursor": cursor}).status_code == 422


@pytest.mark.parametrize("limit", ["0", "1001", "-1", "x", "9" * 30])
def test_a_limit_out_of_range_is_refused(http: httpx.Client, run: str, limit: str) -> None:
    answer = http.get(f"/v1/runs/{run}/steps", params={"limit": limit})

    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"] == "limit"


@pytest.mark.parametrize(
    ("what", "statements"), [("", 3), ("/steps", 2), ("/events", 2), ("/timeline", 2), ("/graph", 3), ("/explain", 7)]
)
def test_the_number_of_statements_is_known(
    http: httpx.Client, run: str, walk: Walk, statements_of: Callable[[], int], what: str, statements: int
) -> None:
    walk.finish(run, "charge", "pack", "ship")
    statements_of()

    assert http.get(f"/v1/runs/{run}{what}").status_code == 200

    assert statements_of() <= statements

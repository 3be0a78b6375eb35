"""Lists by HTTP: filters, pages, and what is refused."""

from collections.abc import Callable
from typing import Any
from uuid import uuid4

import httpx
import pytest

ORDER = {"input": {"order_id": 17}}
LISTS = [
    "/v1/runs",
    "/v1/workflows",
    "/v1/schedules",
    "/v1/dead-letters",
    "/v1/workers",
    "/v1/events/catalog",
    "/v1/runs/stale",
]


def all_pages(http: httpx.Client, path: str, **wanted: Any) -> list[list[dict[str, Any]]]:
    found, cursor = [], None
    while True:
        answer = http.get(path, params=wanted | ({"cursor": cursor} if cursor else {}))
        assert answer.status_code == 200, answer.text
        found.append(answer.json()["items"])
        cursor = answer.json()["next"]
        if cursor is None:
            return found


@pytest.fixture
def tag(http: httpx.Client) -> str:
    """The tag of five new runs, of which the third is about a customer."""
    tag = uuid4().hex
    runs = [{"workflow": "orders", **ORDER, "tags": [tag], "title": f"Order {number}"} for number in range(5)]
    runs[2]["metadata"] = {"customer": {"id": 7}}
    assert http.post("/v1/runs/batch", json={"runs": runs}).status_code == 201
    return tag


def test_runs_come_the_newest_first_page_by_page(http: httpx.Client, tag: str) -> None:
    runs = [run for page in all_pages(http, "/v1/runs", tag=tag, limit=2) for run in page]

    assert sorted(run["title"] for run in runs) == [f"Order {number}" for number in range(5)]
    assert runs == sorted(runs, key=lambda run: (run["created_at"], run["id"]), reverse=True)
    assert "input" not in runs[0]
    assert runs[0]["links"]["self"] == f"/v1/runs/{runs[0]['id']}"


@pytest.mark.parametrize(
    ("wanted", "number"),
    [
        ({"state": "pending"}, 5),
        ({"state": ["failed", "cancelled"]}, 0),
        ({"workflow": "orders"}, 5),
        ({"workflow": "nothing"}, 0),
        ({"metadata": '{"customer": {"id": 7}}'}, 1),
        ({"title": "order 3"}, 1),
        ({"agent": "'; DROP TABLE runs; --"}, 0),
        ({"created_after": "2099-01-01T00:00:00Z"}, 0),
    ],
)
def test_runs_are_found_by_what_is_said(http: httpx.Client, tag: str, wanted: dict[str, Any], number: int) -> None:
    assert len(http.get("/v1/runs", params={"tag": tag, **wanted}).json()["items"]) == number


@pytest.mark.parametrize(
    ("wanted", "field"),
    [
        ({"state": "done"}, "state[0]"),
        ({"colour": "red"}, "colour"),
        ({"metadata": "[1]"}, "metadata"),
        ({"metadata": "{"}, "metadata"),
        ({"title": "x" * 10_000}, "title"),
        ({"title": "a\x00"}, "title"),
        ({"created_after": "yesterday"}, "created_after"),
        ({"version": "1"}, "version"),
        ({"cursor": "x"}, "cursor"),
        ({"order": "random"}, "order"),
    ],
)
def test_a_wrong_filter_is_refused_by_its_name(http: httpx.Client, wanted: dict[str, str], field: str) -> None:
    answer = http.get("/v1/runs", params=wanted)

    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"] == field


@pytest.mark.parametrize("path", LISTS)
def test_a_list_is_a_page_and_refuses_what_it_does_not_know(http: httpx.Client, path: str) -> None:
    answer = http.get(path)

    assert answer.status_code == 200
    assert answer.json().keys() == {"items", "next"}
    assert http.get(path, params={"colour": "red"}).json()["errors"][0]["field"] == "colour"


@pytest.mark.parametrize(
    ("path", "statements"),
    [
        ("/v1/runs", 3),
        ("/v1/workflows", 1),
        ("/v1/workers", 1),
        ("/v1/schedules", 1),
        ("/v1/dead-letters", 1),
        ("/v1/events/catalog", 0),
    ],
)
def test_the_number_of_statements_of_a_list_does_not_grow(
    http: httpx.Client, tag: str, statements_of: Callable[[], int], path: str, statements: int
) -> None:
    """That of runs has a transaction around its one question."""
    http.get(path)
    statements_of()

    for limit in (1, 1_000):
        http.get(path, params={} if path == "/v1/events/catalog" else {"limit": limit}).raise_for_status()
        assert statements_of() == statements


def test_statistics_count_the_runs_that_fit(http: httpx.Client, tag: str) -> None:
    found = http.get("/v1/runs/statistics", params={"tag": tag}).json()

    assert (found["runs"], found["states"], found["complete"]) == (5, {"pending": 5}, True)
    assert [(each["workflow"], each["runs"]) for each in found["workflows"]] == [("orders", 5)]
    assert http.get("/v1/runs/statistics", params={"order": "oldest"}).status_code == 422


def test_a_workflow_shows_its_graph_and_what_its_input_must_fit(http: httpx.Client) -> None:
    shown = http.get("/v1/workflows/orders").json()

    assert [(step["name"], step["after"]) for step in shown["steps"]] == [
        ("charge", []),
        ("pack", ["charge"]),
        ("ship", ["pack"]),
    ]
    assert shown["edges"][0] == {"source": "charge", "target": "pack"}
    assert shown["input_schema"]["required"] == ["order_id"]
    assert shown["loaded"] is True


def test_an_unchanged_workflow_is_a_304_without_a_body(http: httpx.Client) -> None:
    first = http.get("/v1/workflows/orders")

    again = http.get("/v1/workflows/orders", headers={"If-None-Match": f'"other", W/{first.headers["etag"]}'})
    assert (again.status_code, again.content) == (304, b"")
    assert again.headers["etag"] == first.headers["etag"]
    assert http.get("/v1/workflows/orders", headers={"If-None-Match": '"other"'}).status_code == 200


def test_a_workflow_that_was_never_submitted_is_listed(http: httpx.Client) -> None:
    listed = [each for page in all_pages(http, "/v1/workflows", limit=1) for each in page]

    assert [each["name"] for each in listed] == ["approvals", "orders", "untouched"]
    assert listed[2]["registered_at"] is None


@pytest.mark.parametrize("path", ["nothing", "orders?version=9", "x" * 10_000])
def test_an_unknown_workflow_is_not_found(http: httpx.Client, path: str) -> None:
    assert http.get(f"/v1/workflows/{path}").status_code == 404


def test_the_catalogue_has_every_event_with_its_schema(http: httpx.Client) -> None:
    events = {each["name"]: each for each in http.get("/v1/events/catalog").json()["items"]}

    assert events["run.submitted"]["schema"]["properties"]["name"]["const"] == "run.submitted"
    assert http.get("/v1/events/catalog/run.submitted").json() == events["run.submitted"]
    assert http.get("/v1/events/catalog/run.submited").status_code == 404


def test_a_worker_is_listed_with_what_it_serves(http: httpx.Client, beating_worker: str) -> None:
    found = {each["id"]: each for page in all_pages(http, "/v1/workers", limit=1) for each in page}

    assert found[beating_worker]["alive"] is True

"""Runs are submitted and shown by HTTP."""

from collections.abc import Callable
from typing import Any

import httpx
import pytest

ORDER = {"input": {"order_id": 17}}


def submitted(http: httpx.Client, body: dict[str, Any] | None = None, **headers: str) -> dict[str, Any]:
    answer = http.post("/v1/workflows/orders/runs", json=body or ORDER, headers=headers)
    assert answer.status_code in {200, 201}, answer.text
    found: dict[str, Any] = answer.json()
    return found


def test_a_new_run_is_answered_with_201_and_where_it_is(http: httpx.Client) -> None:
    answer = http.post("/v1/workflows/orders/runs", json=ORDER | {"title": "Order 17", "priority": "high"})

    assert answer.status_code == 201
    run = http.get(answer.headers["location"]).json()
    assert run["id"] == answer.json()["id"]
    assert (run["state"], run["title"], run["input"]) == ("pending", "Order 17", {"order_id": 17, "express": False})
    assert run["links"]["steps"] == f"/v1/runs/{run['id']}/steps"
    assert run["result"] is None


def test_a_repeated_key_is_answered_with_200_and_the_first_run(http: httpx.Client) -> None:
    first = submitted(http, **{"Idempotency-Key": "order-17"})
    again = http.post("/v1/workflows/orders/runs", json=ORDER, headers={"Idempotency-Key": "order-17"})

    assert again.status_code == 200
    assert again.json() == first | {"created": False}


def test_a_repeated_key_with_another_input_is_a_conflict_that_names_both(http: httpx.Client) -> None:
    first = submitted(http, **{"Idempotency-Key": "order-18"})
    again = http.post(
        "/v1/workflows/orders/runs", json={"input": {"order_id": 18}}, headers={"Idempotency-Key": "order-18"}
    )

    assert again.status_code == 409
    assert again.headers["content-type"] == "application/problem+json"
    assert (again.json()["key"], again.json()["run_id"]) == ("order-18", first["id"])


def test_headers_are_kept_with_the_run(http: httpx.Client) -> None:
    run = submitted(http, **{"X-Correlation-ID": "request-4711"})

    assert http.get(f"/v1/runs/{run['id']}").json()["correlation_id"] == "request-4711"


def test_a_run_of_another_namespace_is_not_there(http: httpx.Client) -> None:
    run = http.post("/v1/workflows/orders/runs", params={"namespace": "elsewhere"}, json={}).json()

    assert http.get(run["links"]["self"]).json()["namespace"] == "elsewhere"
    assert http.get(f"/v1/runs/{run['id']}").status_code == 404


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"input": {}}, "input"),
        (ORDER | {"colour": "red"}, "colour"),
        (ORDER | {"title": "x" * 10_000}, "title"),
        (ORDER | {"title": "a\x00"}, "title"),
        (ORDER | {"tags": ["a", 7]}, "tags[1]"),
        (ORDER | {"due_at": "2030-01-31T12:00:00"}, "due_at"),
        (ORDER | {"timeout": -1}, "timeout"),
        (ORDER | {"remind_before": [60]}, "remind_before"),
        (ORDER | {"metadata": {"a": "x" * 70_000}}, "metadata"),
        ([], "body"),
    ],
)
def test_a_wrong_body_is_refused_by_the_name_of_the_field(http: httpx.Client, body: Any, field: str) -> None:
    answer = http.post("/v1/workflows/orders/runs", json=body)

    assert answer.status_code == 422
    assert [each["field"] for each in answer.json()["errors"]] == [field]


@pytest.mark.parametrize("body", [b"{", b"\xff", b"[" * 100_000, b'{"input": ' + b"9" * 5_000 + b"}"])
def test_a_body_that_is_no_json_is_a_400(http: httpx.Client, body: bytes) -> None:
    answer = http.post("/v1/workflows/orders/runs", content=body, headers={"Content-Type": "application/json"})

    assert answer.status_code == 400
    assert answer.json()["status"] == 400


@pytest.mark.parametrize("name", ["nothing", "x" * 10_000, "'; DROP TABLE runs; --", "%00", "%F0%9F%92%A9"])
def test_an_unknown_workflow_is_a_404_or_refused(http: httpx.Client, name: str) -> None:
    answer = http.post(f"/v1/workflows/{name}/runs", json=ORDER)

    assert answer.status_code in {404, 422}
    assert answer.json()["detail"]


def test_a_submit_is_one_statement_and_a_look_at_a_run_too(
    http: httpx.Client, statements_of: Callable[[], int]
) -> None:
    submitted(http)
    statements_of()

    run = submitted(http)
    assert statements_of() == 1
    http.get(f"/v1/runs/{run['id']}")
    assert statements_of() == 1

"""What comes too late, or too early, is refused with the state that is in its way, and changes nothing."""

from typing import Any

import httpx
import pytest

from tests.integration.api.every_route import NO_ID, WRITES, Asked

CHANGES = [route for route in WRITES if route.path.startswith("/v1/runs/{run_id}/")]


def asked_about(http: httpx.Client, route: Asked, run_id: str) -> httpx.Response:
    url = route.url.replace(NO_ID, run_id).replace("/steps/orders/", "/steps/charge/")
    return http.request(route.method, url, json=route.good_body)


def shown(http: httpx.Client, run_id: str) -> tuple[Any, Any]:
    return http.get(f"/v1/runs/{run_id}").json(), http.get(f"/v1/runs/{run_id}/events").json()


@pytest.fixture
def cancelled(http: httpx.Client) -> str:
    """A run that ended before anything of it began."""
    run_id: str = http.post("/v1/workflows/orders/runs", json={"input": {"order_id": 1}}).json()["id"]
    assert http.post(f"/v1/runs/{run_id}/cancel", json={}).json()["state"] == "cancelled"
    return run_id


@pytest.mark.parametrize("route", CHANGES, ids=str)
def test_a_run_that_was_cancelled_is_not_changed_again(http: httpx.Client, cancelled: str, route: Asked) -> None:
    before = shown(http, cancelled)

    answer = asked_about(http, route, cancelled)

    if answer.status_code == 409:
        assert answer.json()["state"] == "cancelled"
    else:  # what it asks for is so already, or is not this run's business: a rerun is another run
        assert answer.status_code in {200, 201, 404, 422}
        assert not answer.json().get("changed", False)
    assert shown(http, cancelled) == before

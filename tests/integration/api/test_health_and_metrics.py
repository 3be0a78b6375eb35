"""Whether the API is well, and what it measures."""

import re
from collections.abc import Callable

import httpx

from tests.fixtures.database import new_database
from tests.support.api_server import asking
from tests.support.processes import wait_until
from workflow_engine import Engine, Settings
from workflow_engine.api.wiring import api_of
from workflow_engine.embedded.broker import EmbeddedBroker
from workflow_engine.embedded.postgres import EmbeddedPostgres


def test_it_is_alive_without_a_look_at_anything(http: httpx.Client, statements_of: Callable[[], int]) -> None:
    assert http.get("/health/live").json() == {"state": "ok", "reasons": {}}
    assert statements_of() == 0


def test_it_is_ready_and_has_started(http: httpx.Client) -> None:
    for what in ("ready", "startup"):
        answer = http.get(f"/health/{what}")
        assert (answer.status_code, answer.json()) == (200, {"state": "ok", "reasons": {}})


def test_it_is_not_ready_on_an_empty_database(postgres_url: str, broker_url: str) -> None:
    with new_database(postgres_url) as empty:
        engine = Engine(Settings(database_url=empty, broker_url=broker_url, api_auth="off"))
        with asking(api_of(engine)) as http:
            ready, started, runs = (http.get(path) for path in ("/health/ready", "/health/startup", "/v1/workflows"))
        engine.close()

    assert [each.status_code for each in (ready, started, runs)] == [503, 503, 503]
    assert ready.json()["reasons"].keys() == {"migrations"}
    assert "wfe db upgrade" in ready.json()["reasons"]["migrations"]
    assert runs.json()["title"] == "Database not migrated"


def test_it_says_which_server_is_away_and_recovers_by_itself(
    own_database: EmbeddedPostgres, own_broker: EmbeddedBroker
) -> None:
    engine = Engine(Settings(database_url=own_database.url, broker_url=own_broker.url, api_auth="off"))
    with asking(api_of(engine)) as http:
        assert http.get("/health/ready").status_code == 200
        assert http.get("/v1/workflows").status_code == 200

        own_database.stop()
        own_broker.stop()
        wait_until(lambda: http.get("/health/ready").status_code == 503)
        reasons = http.get("/health/ready").json()["reasons"]
        refused = http.get("/v1/workflows")
        assert http.get("/health/live").status_code == 200
        assert http.get("/health/startup").status_code == 200

        own_database.start()
        own_broker.start()
        wait_until(lambda: http.get("/health/ready").status_code == 200)
        wait_until(lambda: http.get("/v1/workflows").status_code == 200)
    engine.close()

    assert reasons.keys() == {"database", "migrations", "broker"}
    assert (refused.status_code, refused.json()["title"]) == (503, "Database unavailable")
    assert refused.headers["retry-after"] == "1"


def test_requests_are_measured_by_route_and_not_by_what_is_in_the_path(http: httpx.Client) -> None:
    http.get("/v1/runs/0193a5b2-7c3e-7d4a-8f1b-2c3d4e5f6071/steps")
    http.get("/v1/nothing-of-this-name")

    text = http.get("/metrics").text

    assert 'wfe_api_requests_total{code="404",method="GET",route="/v1/runs/{run_id}/steps"}' in text
    assert 'route="none"' in text
    assert "wfe_api_request_duration_seconds_bucket" in text
    assert 'wfe_circuit_state{circuit="broker"} 0.0' in text
    assert "nothing-of-this-name" not in text


def test_the_documentation_needs_nothing_from_elsewhere(http: httpx.Client) -> None:
    page = http.get("/docs")

    found = re.findall(r'(?:src|href)="([^"]+)"', page.text)
    assert {each.rpartition("/")[2] for each in found} == {"swagger-ui.css", "swagger-ui-bundle.js", "favicon.png"}
    for each in found:
        assert each.startswith("/docs/assets/")
        assert http.get(each).status_code == 200
    assert "default-src 'self'" in page.headers["content-security-policy"]

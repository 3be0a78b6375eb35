"""Where authentication is off, only this machine is served, and no page that a browser on it shows from elsewhere."""

import asyncio
from collections.abc import Iterator

import httpx
import pytest

from tests.support.api_server import served
from workflow_engine import Engine, Settings
from workflow_engine.api.authentication import LocalDoor
from workflow_engine.api.refusals import Forbidden
from workflow_engine.api.wiring import api_of

FRIEND = "https://console.example:8443"


@pytest.fixture(scope="module")
def address(api_engine: Engine) -> Iterator[str]:
    """An API without tokens that pages of one other origin may use."""
    values = api_engine.settings.model_dump(exclude_unset=True)
    engine = Engine(Settings(**values, api_cors_origins=FRIEND))
    with served(api_of(engine)) as found:
        yield found
    engine.close()


@pytest.mark.parametrize("host", ["localhost", "localhost:1234", "127.0.0.1", "[::1]:80", "LOCALHOST"])
def test_a_request_for_this_machine_is_answered(address: str, host: str) -> None:
    assert httpx.get(f"{address}/v1/workflows", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:80", "10.0.0.1", "localhost.evil.example", "", "a b", "["]
)
def test_a_name_that_was_made_to_point_here_is_not(address: str, host: str) -> None:
    answer = httpx.get(f"{address}/v1/workflows", headers={"Host": host})

    assert answer.status_code in {400, 403}


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "https://localhost.evil.example", "file://", "x"])
def test_a_page_from_elsewhere_is_not_answered(address: str, origin: str) -> None:
    answer = httpx.post(f"{address}/v1/runs/x/cancel", headers={"Origin": origin})

    assert answer.status_code == 403
    assert "access-control-allow-origin" not in answer.headers


@pytest.mark.parametrize("origin", ["http://localhost:3000", "http://127.0.0.1", "http://[::1]:80", FRIEND])
def test_a_page_of_this_machine_and_one_that_is_named_are(address: str, origin: str) -> None:
    assert httpx.get(f"{address}/v1/workflows", headers={"Origin": origin}).status_code == 200


def test_a_browser_is_told_which_pages_may_call(address: str) -> None:
    ask = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization,idempotency-key"}

    allowed = httpx.options(f"{address}/v1/runs/batch", headers=ask | {"Origin": FRIEND})
    refused = httpx.options(f"{address}/v1/runs/batch", headers=ask | {"Origin": "https://evil.example"})

    assert (allowed.status_code, allowed.headers["access-control-allow-origin"]) == (200, FRIEND)
    assert "access-control-allow-credentials" not in allowed.headers
    assert "access-control-allow-origin" not in refused.headers


@pytest.mark.parametrize("server", ["10.1.2.3", "192.168.1.5", "fe80::1"])
def test_a_server_of_theirs_that_listens_elsewhere_serves_nobody(server: str) -> None:
    scope = {"server": (server, 80), "headers": [(b"host", b"localhost")]}

    with pytest.raises(Forbidden, match="only this machine is served"):
        asyncio.run(LocalDoor().caller(scope))


def test_a_server_on_a_unix_socket_is_on_this_machine() -> None:
    assert asyncio.run(LocalDoor().caller({"server": ("/run/api.sock", None), "headers": [(b"host", b"localhost")]}))

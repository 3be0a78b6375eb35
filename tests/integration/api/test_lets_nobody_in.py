"""Every route, one by one as the application lists them, refuses strangers, other namespaces and lesser scopes."""

from collections.abc import Callable
from typing import Any

import httpx
import pytest

from tests.integration.api.every_route import GUARDED, NO_ID, WRITES, Asked
from tests.support.tokens import BAD, SECRET, bearer, signed

OF_ALL_NAMESPACES = {"/v1/events/catalog", "/v1/events/catalog/{name}", "/metrics"}
"""What is not about one namespace, and so is there for whoever has the scope."""
OF_READERS = {"/v1/events/tickets"}
"""What changes nothing, though it is no GET."""
OF_A_NAMESPACE = [route for route in GUARDED if route.path not in OF_ALL_NAMESPACES]


def ask(client: httpx.Client, route: Asked, token: str | None, **query: str) -> httpx.Response:
    headers = {} if token is None else {"Authorization": f"Bearer {token}".encode()}
    return client.request(route.method, route.url, headers=headers, json=route.good_body, params=query)


@pytest.mark.parametrize("route", GUARDED, ids=str)
def test_a_route_is_not_there_for_who_has_no_token(guarded: httpx.Client, route: Asked) -> None:
    answer = ask(guarded, route, None)

    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == 'Bearer realm="workflow-engine"'
    assert answer.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize("route", GUARDED, ids=str)
@pytest.mark.parametrize(
    "bad", ["of another secret", "expired", "alg none", "unsigned", "tampered with", "HS256 with a public key"]
)
def test_a_route_is_not_there_for_a_token(guarded: httpx.Client, route: Asked, bad: str) -> None:
    answer = ask(guarded, route, BAD[bad]())

    assert answer.status_code == 401
    assert 'error="invalid_token"' in answer.headers["www-authenticate"]
    assert answer.json()["detail"] in {"the token is not valid", "the token has expired"}


@pytest.mark.parametrize("bad", BAD.values(), ids=BAD)
def test_no_token_gets_in_that_is(guarded: httpx.Client, bad: Callable[[], str]) -> None:
    assert ask(guarded, GUARDED[0], bad()).status_code == 401


@pytest.mark.parametrize(
    "header", ["", "Bearer", "Basic YTpi", f"bearer{SECRET}", "Token abc"], ids=lambda text: text or "empty"
)
def test_what_is_no_bearer_token_is_none(guarded: httpx.Client, header: str) -> None:
    answer = guarded.request(GUARDED[0].method, GUARDED[0].url, headers={"Authorization": header})

    assert answer.status_code == 401


def test_two_tokens_are_none(guarded: httpx.Client) -> None:
    headers = [("Authorization", f"Bearer {signed()}"), ("Authorization", f"Bearer {signed(sub='bob')}")]

    assert guarded.get(GUARDED[0].url, headers=headers).status_code == 401


@pytest.mark.parametrize("route", GUARDED, ids=str)
def test_a_route_refuses_who_has_no_scope(guarded: httpx.Client, route: Asked) -> None:
    answer = ask(guarded, route, signed(scopes=["profile"]))

    assert answer.status_code == 403
    assert 'error="insufficient_scope"' in answer.headers["www-authenticate"]


@pytest.mark.parametrize("route", WRITES, ids=str)
def test_a_route_that_changes_something_refuses_who_may_only_read(guarded: httpx.Client, route: Asked) -> None:
    assert ask(guarded, route, signed(scopes=["runs:read", "events:read"])).status_code == 403


@pytest.mark.parametrize("route", OF_A_NAMESPACE, ids=str)
def test_a_route_refuses_who_names_anothers_namespace(guarded: httpx.Client, route: Asked) -> None:
    for token in (signed(namespaces=["elsewhere"]), signed(namespaces=[])):
        answer = ask(guarded, route, token, namespace="default")

        assert answer.status_code == 403
        assert [each["field"] for each in answer.json()["errors"]] == ["namespace"]


def test_a_path_that_is_no_route_is_not_told_to_strangers(guarded: httpx.Client) -> None:
    assert guarded.get("/v1/nothing").status_code == 401
    assert guarded.get("/v1/nothing", headers={"Authorization": f"Bearer {signed()}"}).status_code == 404


def test_a_stranger_who_sends_much_is_answered_and_not_cut_off(guarded: httpx.Client) -> None:
    for content in (b"x" * 1_000_000, (b"x" * 10_000 for _ in range(100))):
        assert guarded.post("/v1/runs/batch", content=content).status_code == 401


@pytest.mark.parametrize("host", ["", "[", "a b", "evil.example", "x" * 5_000])
def test_no_host_does_harm(guarded: httpx.Client, host: str) -> None:
    for headers in ({}, bearer()):
        assert guarded.get(f"/v1/runs/{NO_ID}", headers={**headers, "Host": host}).status_code in {400, 401, 404}


def test_health_and_documents_are_for_everybody(guarded: httpx.Client) -> None:
    for path in ("/health/live", "/docs", "/openapi.json"):
        assert guarded.get(path).status_code == 200


@pytest.fixture(scope="module")
def foreign_run(guarded: httpx.Client) -> dict[str, Any]:
    """A run of the namespace ``elsewhere``, submitted under a key by somebody who may."""
    headers = bearer(namespaces=["elsewhere"]) | {"Idempotency-Key": "theirs"}
    answer = guarded.post("/v1/workflows/orders/runs", json={"input": {"secret": 42}}, headers=headers)
    assert answer.status_code == 201, answer.text
    found: dict[str, Any] = answer.json()
    return found


RUN_ROUTES = [route for route in OF_A_NAMESPACE if "{run_id}" in route.path]


@pytest.mark.parametrize("route", RUN_ROUTES, ids=str)
def test_a_run_of_another_namespace_looks_as_if_it_were_not_there(
    guarded: httpx.Client, foreign_run: dict[str, Any], route: Asked
) -> None:
    def answer_about(run_id: str) -> tuple[int, str, list[str]]:
        url = route.url.replace(NO_ID, run_id)
        found = guarded.request(route.method, url, json=route.good_body, headers=bearer())
        kept = sorted(name for name in found.headers if name != "date")
        return found.status_code, found.text.replace(run_id, "RUN"), kept

    theirs, nobodys = answer_about(foreign_run["id"]), answer_about(NO_ID)

    assert theirs == nobodys
    assert theirs[0] in {404, 422}


def test_an_idempotency_key_of_another_namespace_is_free(guarded: httpx.Client, foreign_run: dict[str, Any]) -> None:
    headers = bearer() | {"Idempotency-Key": "theirs"}

    answer = guarded.post("/v1/workflows/orders/runs", json={"input": {"order_id": 1}}, headers=headers)

    assert answer.status_code == 201
    assert answer.json()["id"] != foreign_run["id"]


def test_who_has_one_namespace_need_not_name_it(guarded: httpx.Client, foreign_run: dict[str, Any]) -> None:
    headers = bearer(namespaces=["elsewhere"])

    assert guarded.get(f"/v1/runs/{foreign_run['id']}", headers=headers).json()["namespace"] == "elsewhere"


def test_who_submits_is_the_initiator_and_cannot_say_otherwise(guarded: httpx.Client) -> None:
    body = {"input": {"order_id": 1}}
    writer: dict[str, Any] = {"sub": "ada", "scopes": ["runs:read", "runs:write"]}
    url = "/v1/workflows/orders/runs"

    mine = guarded.post(url, json=body, headers=bearer(**writer)).json()
    assert guarded.get(f"/v1/runs/{mine['id']}", headers=bearer(**writer)).json()["initiator"] == "ada"
    assert guarded.post(url, json=body | {"initiator": "bob"}, headers=bearer(**writer)).status_code == 403
    admin = bearer(sub="root", scopes=["admin"])
    theirs = guarded.post(url, json=body | {"initiator": "bob"}, headers=admin).json()
    assert guarded.get(f"/v1/runs/{theirs['id']}", headers=admin).json()["initiator"] == "bob"

"""The API as it is deployed, with an identity provider's keys: tokens, their rotation, and clients who mean no good."""

import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from select import select

import httpx
import pytest

from tests.fixtures.stages import StageMaker
from tests.support.http_server import Answer, http_server, json_answer
from tests.support.processes import Stage, StageProcess, wait_until
from tests.support.tokens import (
    SECRET,
    bearer,
    claims,
    forged,
    hs256_with_a_public_key,
    jwks,
    rsa_key,
    seconds_from_now,
    signed,
)
from workflow_engine.embedded.ports import free_port

OLD, NEW = rsa_key(), rsa_key(1)
SUBMIT = "/v1/workflows/diamond/runs"


@contextmanager
def api(stage: Stage, **variables: str) -> Iterator[httpx.Client]:
    """Serve the API in a process of its own, and lend a client that asks it."""
    port = free_port()
    settings = {"WFE_WORKFLOWS": "tests.acceptance.flows", "WFE_API_PORT": str(port)}
    process = StageProcess(stage, f"api-{port}", ["-m", "workers.api"], **settings, **variables)
    try:
        wait_until(lambda: "listening on" in process.log.read_text() or not process.is_alive(), within=60)
        assert process.is_alive(), process.log.read_text()
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=20) as client:
            yield client
    finally:
        process.kill()
        print(process.log.read_text())


@pytest.fixture(scope="module")
def site(new_stage: StageMaker) -> Iterator[Stage]:
    with new_stage() as stage:
        yield stage


def submit(client: httpx.Client, token: str) -> int:
    return client.post(SUBMIT, json={"input": {}}, headers={"Authorization": f"Bearer {token}"}).status_code


def bad_tokens() -> list[str]:
    """Return what must not be taken where the issuer ``us`` signs with its key ``old``."""
    return [
        signed(OLD, kid="old", iss="them"),
        signed(OLD, kid="old"),
        signed(NEW, kid="old", iss="us"),
        signed(OLD, kid="old", iss="us", exp=seconds_from_now(-1)),
        hs256_with_a_public_key(OLD),
        forged({"alg": "none"}, claims(iss="us")),
        signed(iss="us"),
    ]


def test_tokens_of_an_identity_provider_are_taken_and_others_are_not(site: Stage) -> None:
    with http_server() as issuer:
        issuer.answers[:] = [json_answer(jwks(old=OLD))]
        with api(site, WFE_API_JWKS_URL=f"{issuer.url}/keys", WFE_API_ISSUER="us") as client:
            assert submit(client, signed(OLD, kid="old", iss="us")) == 201
            assert [submit(client, token) for token in bad_tokens()] == [401] * len(bad_tokens())


@pytest.mark.slow
def test_keys_of_an_identity_provider_come_late_and_change(site: Stage) -> None:
    with http_server() as issuer:
        issuer.answers[:] = [Answer(status=503)]
        with api(site, WFE_API_JWKS_URL=f"{issuer.url}/keys") as client:
            assert submit(client, signed(OLD, kid="old")) == 503

            issuer.answers[:] = [json_answer(jwks(old=OLD))]
            wait_until(lambda: submit(client, signed(OLD, kid="old")) == 201, why="the keys are there")
            issuer.answers[:] = [json_answer(jwks(new=NEW))]
            wait_until(lambda: submit(client, signed(NEW, kid="new")) == 201, why="the new key is taken")
            assert submit(client, signed(OLD, kid="old")) == 401


@pytest.fixture(scope="module")
def client(site: Stage) -> Iterator[httpx.Client]:
    """An API that is soon out of patience, and counts."""
    strict = {"WFE_API_REQUEST_SECONDS": "4", "WFE_API_RATE_PER_SECOND": "0.05", "WFE_API_RATE_BURST": "3"}
    with api(site, WFE_API_SECRET=SECRET, **strict) as client:
        yield client


def test_clients_who_do_not_send_what_they_announced_keep_nobody_else_waiting(client: httpx.Client) -> None:
    """There are more of them than the process has threads."""
    address = (client.base_url.host, client.base_url.port or 0)
    with ExitStack() as stack:
        slow = [stack.enter_context(socket.create_connection(address, timeout=20)) for _ in range(100)]
        for number, connection in enumerate(slow):
            token = signed(sub=f"slow-{number}")
            head = f"POST {SUBMIT} HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {token}\r\nContent-Length: 9\r\n\r\n{{"
            connection.sendall(head.encode())

        assert submit(client, signed(sub="quick")) == 201
        assert select(slow, [], [], 0)[0] == []  # they wait still
        assert {connection.recv(12) for connection in slow} == {b"HTTP/1.1 408"}


def test_ten_megabytes_are_too_many(client: httpx.Client) -> None:
    for content in (b"x" * 10_000_000, (b"x" * 100_000 for _ in range(100))):
        answer = client.post(SUBMIT, content=content, headers=bearer(sub="huge"))

        assert answer.status_code == 413


def test_who_asks_too_often_is_told_when_to_come_again_and_others_are_not(client: httpx.Client) -> None:
    greedy = bearer(sub="greedy")
    answers = [client.get("/v1/workflows", headers=greedy) for _ in range(5)]

    assert [answer.status_code for answer in answers] == [200, 200, 200, 429, 429]
    assert answers[-1].headers["retry-after"].isdecimal()
    assert answers[-1].json()["title"] == "Too many requests"
    assert client.get("/v1/workflows", headers=bearer(sub="modest")).status_code == 200
    assert client.get("/health/live").status_code == 200

"""Limits of the API, on a real port: how large a request may be, how long it may take, how many a caller may make."""

import json
import socket
from collections.abc import Iterator
from threading import Event

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from tests.support.api_server import served
from workflow_engine.api.limits import Limits

LIMIT = 10_000
SECONDS = 0.5
release = Event()


async def echo(request: Request) -> Response:
    """Answer with the size of the body."""
    return PlainTextResponse(str(len(await request.body())))


def hang(request: Request) -> Response:
    """Hold a thread until the test lets it go."""
    release.wait(20)
    return PlainTextResponse("late")


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """A server with our limits, and nothing else of ours."""
    inner = Starlette(routes=[Route("/echo", echo, methods=["POST"]), Route("/hang", hang)])
    with served(Limits(inner, max_body_bytes=LIMIT, seconds=SECONDS)) as found:
        yield found


def chunks(size: int) -> Iterator[bytes]:
    for _ in range(10):
        yield b"x" * (size // 10)


@pytest.mark.parametrize("size", [0, 1, LIMIT])
def test_what_is_not_too_large_is_let_through(address: str, size: int) -> None:
    assert httpx.post(f"{address}/echo", content=b"x" * size).text == str(size)


def test_what_comes_in_chunks_is_let_through_up_to_the_same_size(address: str) -> None:
    assert httpx.post(f"{address}/echo", content=chunks(LIMIT)).text == str(LIMIT)
    assert httpx.post(f"{address}/echo", content=chunks(LIMIT + 10)).status_code == 413


@pytest.mark.parametrize("size", [LIMIT + 1, 100_000, 10_000_000])
def test_what_is_too_large_is_refused_with_a_problem_and_not_with_a_broken_connection(address: str, size: int) -> None:
    for content in (b"x" * size, chunks(size + 10)):
        answer = httpx.post(f"{address}/echo", content=content)

        assert answer.status_code == 413
        assert answer.headers["content-type"] == "application/problem+json"
        assert "10,000 bytes" in answer.json()["detail"]


def talk(address: str, *parts: bytes) -> bytes:
    """Send parts of a request, and return all that comes back until the server ends the connection."""
    host, port = address.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=10) as connection:
        for part in parts:
            connection.sendall(part)
        return b"".join(iter(lambda: connection.recv(65_536), b""))


def test_a_client_that_does_not_send_its_body_is_told_so_and_holds_no_thread(address: str) -> None:
    head = b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\n"

    answer = talk(address, head, b"x" * 10)

    assert answer.startswith(b"HTTP/1.1 408 ")
    assert json.loads(answer.partition(b"\r\n\r\n")[2])["detail"] == "the request was not complete after 0.5 s"


def test_a_client_that_asks_before_it_sends_too_much_need_not_send_it(address: str) -> None:
    head = b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 9999999\r\nExpect: 100-continue\r\n\r\n"

    assert talk(address, head).startswith(b"HTTP/1.1 413 ")


def test_who_waits_too_long_for_an_answer_gets_a_problem(address: str) -> None:
    try:
        answer = httpx.get(f"{address}/hang")
    finally:
        release.set()

    assert answer.status_code == 503
    assert answer.json()["title"] == "Took too long"


def test_answers_are_not_kept_by_others_nor_guessed_at_by_browsers(address: str) -> None:
    headers = httpx.post(f"{address}/echo").headers

    assert headers["cache-control"] == "no-store"
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["x-frame-options"] == "DENY"

"""A real HTTP server on loopback that answers as it is told and keeps what it was asked."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A request as it arrived; header names in lower case."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What to say; ``hang_up``: nothing at all."""

    status: int = 200
    body: bytes = b"{}"
    headers: Mapping[str, str] = field(default_factory=lambda: {"Content-Type": "application/json"})
    hang_up: bool = False


def json_answer(value: object, status: int = 200, **headers: str) -> Answer:
    """Return an answer of JSON."""
    return Answer(
        status=status, body=json.dumps(value).encode(), headers={"Content-Type": "application/json", **headers}
    )


class HttpServer:
    """Gives its answers in order, the last one again and again."""

    def __init__(self) -> None:
        self.asked: list[Asked] = []
        self.answers: list[Answer] = [Answer()]
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def handle_one(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                headers = {name.lower(): value for name, value in self.headers.items()}
                outer.asked.append(Asked(method=self.command, path=self.path, headers=headers, body=body))
                answer = outer.answers.pop(0) if len(outer.answers) > 1 else outer.answers[0]
                self.close_connection = answer.hang_up
                if answer.hang_up:
                    return
                self.send_response(answer.status)
                for name, value in answer.headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(answer.body)))
                self.end_headers()
                self.wfile.write(answer.body)

            do_GET = do_POST = do_PUT = do_DELETE = handle_one  # noqa: N815  the names http.server looks for

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"


@contextmanager
def http_server() -> Iterator[HttpServer]:
    """Serve for as long as the block lasts."""
    made = HttpServer()
    Thread(target=made.server.serve_forever, args=(0.02,), name="http-server", daemon=True).start()
    try:
        yield made
    finally:
        made.server.shutdown()
        made.server.server_close()

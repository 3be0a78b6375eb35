"""MetricsPort: a small HTTP server that answers Prometheus at ``/metrics``, and ``/health/live``."""

import errno
import os
import weakref
from collections.abc import Callable, Iterable
from http import HTTPStatus
from socket import AF_INET6
from socketserver import TCPServer, ThreadingMixIn
from threading import Thread
from typing import Any, Final
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

from prometheus_client import CollectorRegistry, make_wsgi_app

from workflow_engine.errors import ConfigurationError

_SLOWEST_CLIENT: Final = 10.0
"""Seconds that a client may take to say what it wants."""

_END_SECONDS: Final = 0.1
"""How long closing may take."""

_TEXT: Final = ("Content-Type", "text/plain; charset=utf-8")

WsgiApp = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


class MetricsPort:
    """Answers from a thread of its own; forked children close the socket, so that it is free when its process ends."""

    def __init__(self, registry: CollectorRegistry, host: str, port: int) -> None:
        """Listen; port 0 is any free one.

        Raises:
            ConfigurationError: the port is taken or cannot be had.
        """
        self._server = _listen(host, port, _application(make_wsgi_app(registry)))
        self._thread = Thread(target=self._server.serve_forever, args=[_END_SECONDS], name="wfe-metrics", daemon=True)
        self._thread.start()
        _close_in_children(self._server)

    @property
    def url(self) -> str:
        """Where Prometheus finds the metrics."""
        host, port = self._server.server_address[:2]
        shown = f"[{host!s}]" if ":" in str(host) else host
        return f"http://{shown!s}:{port}/metrics"

    def close(self) -> None:
        """Stop answering, and give the port back."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True

    def server_bind(self) -> None:
        TCPServer.server_bind(self)  # HTTPServer's would ask the DNS for our name
        self.server_name, self.server_port = (str(self.server_address[0]), int(self.server_address[1]))
        self.setup_environ()


class _Ipv6Server(_Server):
    address_family = AF_INET6


class _Handler(WSGIRequestHandler):
    timeout = _SLOWEST_CLIENT

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name is the standard library's
        """Say nothing: Prometheus asks every few seconds."""


def _listen(host: str, port: int, app: WsgiApp) -> _Server:
    made = _Ipv6Server if ":" in host else _Server
    try:
        server = made((host, port), _Handler)
    except OSError as error:
        raise ConfigurationError(f"WFE_METRICS_PORT: {_reason(error, host, port)}") from error
    server.set_app(app)
    return server


def _reason(error: OSError, host: str, port: int) -> str:
    if error.errno == errno.EADDRINUSE:
        return f"port {port} of {host} is in use; choose another, 0 for any free one, or none"
    return f"cannot listen on port {port} of {host}: {error.strerror or error}"


def _application(metrics: WsgiApp) -> WsgiApp:
    def answer(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        match environ["PATH_INFO"]:
            case "/metrics":
                return metrics(environ, start_response)
            case "/health/live":
                return _say(start_response, HTTPStatus.OK, "alive\n")
            case _:
                return _say(start_response, HTTPStatus.NOT_FOUND, "there are /metrics and /health/live\n")

    return answer


def _say(start_response: Callable[..., Any], code: HTTPStatus, text: str) -> Iterable[bytes]:
    start_response(f"{code.value} {code.phrase}", [_TEXT])  # a list of its own: more is added to it
    return [text.encode()]


def _close_in_children(server: _Server) -> None:
    """A child that kept the socket would keep the port when its parent is gone, and answer nobody."""
    weakly = weakref.ref(server)

    def close() -> None:
        inherited = weakly()
        if inherited is not None:
            inherited.socket.close()

    os.register_at_fork(after_in_child=close)

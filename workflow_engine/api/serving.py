"""Serve the application: uvicorn in this process, until a signal; what has begun is answered first."""

import errno
import os
import resource
import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, Final

import uvicorn

from workflow_engine.errors import ConfigurationError

_BACKLOG: Final = 2_048
_GRACE_SECONDS: Final = 10
"""How long requests that have begun may take once a signal has come."""
_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)


def listen(host: str, port: int) -> socket.socket:
    """Return a socket that listens; port 0 is any free one.

    Raises:
        ConfigurationError: the port is taken, or the address is none of this machine's.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=_BACKLOG)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            reason = f"port {port} of {host} is in use; choose another, or 0 for any free one"
        else:
            reason = f"cannot listen on port {port} of {host}: {error.strerror or error}"
        raise ConfigurationError(f"--port: {reason}") from error


def address_of(listening: socket.socket) -> str:
    """Return where a browser finds it."""
    host, port = listening.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def serve(app: Any, listening: socket.socket, *, when_up: Callable[[], None]) -> None:
    """Answer requests in this process until SIGTERM or SIGINT; ``when_up`` is called once it answers."""
    _allow_many_connections()
    config = uvicorn.Config(
        app,
        log_config=None,
        access_log=False,
        lifespan="on",
        server_header=False,
        timeout_graceful_shutdown=_GRACE_SECONDS,
        backlog=_BACKLOG,
    )
    _Server(config, when_up).run(sockets=[listening])


def _allow_many_connections() -> None:
    """Have as many files open as this process may: each stream of events is one, and the usual limit is 1,024."""
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    with suppress(ValueError, OSError):  # macOS refuses what it calls infinity
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


class _Server(uvicorn.Server):
    """Uvicorn's, but it ends with exit code 0 after a signal, as all our processes do; the second one does not wait."""

    def __init__(self, config: uvicorn.Config, when_up: Callable[[], None]) -> None:
        super().__init__(config)
        self._when_up = when_up

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            self._when_up()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        before = {number: signal.signal(number, self._on_signal) for number in _SIGNALS}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _on_signal(self, number: int, _: Any) -> None:
        if self.should_exit:
            os._exit(128 + number)
        self.should_exit = True

"""A wire to a real server that can go dead: connections are accepted, and nothing that is said arrives."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from threading import Event, Thread
from urllib.parse import urlsplit


class Wire:
    """Forwards every connection made to its port; a dead one keeps what it gets until it is mended."""

    def __init__(self, host: str, port: int, *, at: int = 0) -> None:
        """Forward from port ``at``, or any free one, to a server."""
        self._target = (host, port)
        self._flowing = Event()
        self._flowing.set()
        self._sockets: list[socket.socket] = []
        self._listener = socket.create_server(("127.0.0.1", at), backlog=100)
        self.connections = 0
        """How often somebody has connected."""
        Thread(target=self._accept, daemon=True).start()

    @property
    def port(self) -> int:
        """Where to connect."""
        return int(self._listener.getsockname()[1])

    def url(self, target: str) -> str:
        """Return a URL of the target as one through this wire."""
        parts = urlsplit(target)
        address = f"{parts.netloc.rpartition('@')[0]}@127.0.0.1:{self.port}".lstrip("@")
        return parts._replace(netloc=address).geturl()

    def cut(self) -> None:
        """Let nothing through any more; new connections are accepted, as before."""
        self._flowing.clear()

    def mend(self) -> None:
        """Let everything through again, also what came meanwhile."""
        self._flowing.set()

    def close(self) -> None:
        """Hang up on everybody."""
        self.mend()
        for each in [self._listener, *self._sockets]:
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                near, _ = self._listener.accept()
                self.connections += 1
                Thread(target=self._join, args=(near,), daemon=True).start()

    def _join(self, near: socket.socket) -> None:
        self._sockets.append(near)
        self._flowing.wait()
        with suppress(OSError):
            far = socket.create_connection(self._target)
            self._sockets.append(far)
            Thread(target=self._forward, args=(near, far), daemon=True).start()
            self._forward(far, near)

    def _forward(self, source: socket.socket, sink: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(65_536):
                self._flowing.wait()
                sink.sendall(data)
        for each in (source, sink):
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)


@contextmanager
def wire_to(url: str, *, at: int = 0) -> Iterator[Wire]:
    """Lend a wire from port ``at``, or any free one, to the server of a URL."""
    parts = urlsplit(url)
    wire = Wire(parts.hostname or "127.0.0.1", parts.port or 0, at=at)
    try:
        yield wire
    finally:
        wire.close()

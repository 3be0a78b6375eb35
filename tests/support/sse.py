"""A client of server-sent events, as plain as can be: a socket, and what came through it."""

import json
import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from threading import Thread
from typing import Any
from urllib.parse import urlsplit

from tests.support.processes import wait_until


@dataclass(frozen=True, slots=True, kw_only=True)
class Received:
    """An event of the stream."""

    id: int | None
    event: str
    data: Any


@dataclass(slots=True)
class Watching:
    """A connection that reads on in a thread until it is cut."""

    connection: socket.socket
    status: int
    headers: dict[str, str]
    body: bytes = b""
    events: list[Received] = field(default_factory=list)
    comments: list[str] = field(default_factory=list)
    last_id: int | None = None
    retry: int | None = None
    is_over: bool = False
    """Whether the server has ended the stream."""

    @property
    def positions(self) -> list[int]:
        """The ids of the events so far, without notices."""
        return [each.id for each in self.events if each.id is not None and each.event not in {"gap", "coalesced"}]

    def named(self, event: str) -> list[Received]:
        """Return the events of a name so far."""
        return [each for each in self.events if each.event == event]

    def wait_for(self, event: str, number: int = 1, *, within: float = 20.0) -> list[Received]:
        """Return the events of a name once there are so many."""
        wait_until(lambda: len(self.named(event)) >= number, within=within, why=f"{number} of {event} have come")
        return self.named(event)

    def wait_for_positions(self, positions: Sequence[int], *, within: float = 20.0) -> None:
        """Return once the events of these places are there."""
        wanted = set(positions)
        wait_until(lambda: wanted <= set(self.positions), within=within, why=f"{len(wanted)} events have come")

    def cut(self) -> None:
        """Break the connection, as a network does."""
        with suppress(OSError):
            self.connection.shutdown(socket.SHUT_RDWR)
        self.connection.close()

    def read_on(self) -> None:
        """Read until the end."""
        with suppress(OSError, ValueError):
            for block in _blocks(_chunks(self.connection.makefile("rb"))):
                self._take(block)
        self.is_over = True

    def _take(self, block: str) -> None:
        name, data, place = "message", [], None
        for line in block.split("\n"):
            word, _, value = line.partition(":")
            value = value.removeprefix(" ")
            if word == "":
                self.comments.append(value)
            elif word == "id":
                place = self.last_id = int(value)
            elif word == "retry":
                self.retry = int(value)
            elif word == "event":
                name = value
            elif word == "data":
                data.append(value)
        if data:
            self.events.append(Received(id=place, event=name, data=json.loads("\n".join(data))))


def connect(url: str, *, receive_buffer: int | None = None, **headers: str) -> Watching:
    """Ask for a stream, and read no further than the answer's headers; one that is refused is read to its end."""
    parts = urlsplit(url)
    connection = socket.socket()
    if receive_buffer is not None:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    connection.settimeout(30)
    connection.connect((parts.hostname or "", parts.port or 80))
    lines = [f"GET {parts.path}?{parts.query} HTTP/1.1", f"Host: {parts.netloc}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    connection.sendall(("\r\n".join(lines) + "\r\n\r\n").encode())
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        head += connection.recv(1)
    first, *rest = head.decode().strip().split("\r\n")
    found = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in rest)}
    watching = Watching(connection, int(first.split()[1]), found)
    if watching.status != 200:
        watching.body = connection.makefile("rb").read(int(found["content-length"]))
    return watching


@contextmanager
def watching(url: str, **headers: str) -> Iterator[Watching]:
    """Watch a stream for the length of a block; it has begun when the block does."""
    made = connect(url, **headers)
    assert made.status == 200, made.body
    thread = Thread(target=made.read_on, name="sse", daemon=True)
    thread.start()
    try:
        wait_until(lambda: made.retry is not None or made.is_over, why="the stream has begun")
        yield made
    finally:
        made.cut()
        thread.join()


def _chunks(file: Any) -> Iterator[bytes]:
    while size := int(file.readline() or b"0", 16):
        yield file.read(size)
        file.readline()


def _blocks(chunks: Iterator[bytes]) -> Iterator[str]:
    rest = b""
    for chunk in chunks:
        *whole, rest = (rest + chunk).split(b"\n\n")
        yield from (block.decode() for block in whole)

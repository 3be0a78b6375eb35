"""Clients of streams, thousands of them in one process, told by lines on stdin what to do: see ``benchmarks.sse``."""

import asyncio
import json
import random
import resource
import sys
from contextlib import suppress
from dataclasses import dataclass, field
from time import time
from typing import Any, Final
from urllib.parse import urlsplit

AT_ONCE: Final = 50
"""Connections that are being made."""
CUTS_SECONDS: Final = 5.0


@dataclass
class Client:
    """Watches one run, and notes what comes and how long ago it was written."""

    path: str
    positions: list[int] = field(default_factory=list)
    last: int = 0
    task: "asyncio.Task[None] | None" = None

    async def connect(self, host: str, port: int) -> None:
        """Watch on, from where it was."""
        reader, writer = await asyncio.open_connection(host, port)
        place = f"Last-Event-ID: {self.last}\r\n" if self.last else ""
        writer.write(f"GET {self.path} HTTP/1.1\r\nHost: {host}:{port}\r\n{place}\r\n".encode())
        head = await reader.readuntil(b"\r\n\r\n")
        if b" 200 " not in head.partition(b"\r\n")[0]:
            raise ConnectionError(head.decode())
        self._take(await self._block(reader))
        self.task = asyncio.create_task(self._read(reader, writer))

    async def cut(self) -> None:
        """Break the connection."""
        if self.task is not None:
            self.task.cancel()
            await asyncio.wait([self.task])

    async def _read(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            with suppress(ConnectionError, asyncio.IncompleteReadError):
                while True:
                    self._take(await self._block(reader))
        finally:
            writer.close()

    @staticmethod
    async def _block(reader: asyncio.StreamReader) -> bytes:
        size = int(await reader.readuntil(b"\r\n"), 16)
        return (await reader.readexactly(size + 2))[:-2]

    def _take(self, chunk: bytes) -> None:
        now = time()
        for block in chunk.split(b"\n\n"):
            for line in block.split(b"\n"):
                if line.startswith(b"id: "):
                    self.last = int(line[4:])
                elif line.startswith(b"data: "):
                    event = json.loads(line[6:])
                    self.positions.append(event["position"])
                    LATENCIES.append(now - event["data"]["sent"])


LATENCIES: list[float] = []


class Crowd:
    """All clients, and what may be asked of them."""

    def __init__(self, url: str, runs: list[str]) -> None:
        """Watch these runs, one client each."""
        parts = urlsplit(url)
        self._host, self._port = parts.hostname or "", parts.port or 80
        self._clients = [Client(f"/v1/runs/{run}/events/stream") for run in runs]
        self._stalled: list[asyncio.StreamWriter] = []
        self._room = asyncio.Semaphore(AT_ONCE)

    async def connect(self) -> None:
        """Connect them all."""
        await asyncio.gather(*(self._connect(client) for client in self._clients))

    async def stall(self, number: int) -> None:
        """Open streams of everything that nobody reads."""
        for _ in range(number):
            reader, writer = await asyncio.open_connection(self._host, self._port, limit=1)
            writer.write(f"GET /v1/events/stream HTTP/1.1\r\nHost: {self._host}:{self._port}\r\n\r\n".encode())
            writer.transport.pause_reading()  # type: ignore[attr-defined]  # a socket's transport has it
            self._stalled.append(writer)
            del reader

    async def cut(self) -> None:
        """Cut each connection at some moment, and come back with the id of the last event."""

        async def cut(client: Client) -> None:
            await asyncio.sleep(random.random() * CUTS_SECONDS)
            await client.cut()
            await asyncio.sleep(random.random())
            await self._connect(client)

        await asyncio.gather(*(cut(client) for client in self._clients))

    def report(self) -> dict[str, Any]:
        """Return what came since the last report, and how long it took."""
        found = {"latencies": list(LATENCIES), "positions": [client.positions for client in self._clients]}
        LATENCIES.clear()
        for client in self._clients:
            client.positions = []
        return found

    async def _connect(self, client: Client) -> None:
        async with self._room:
            await client.connect(self._host, self._port)


async def main() -> None:
    """Do what is asked; answer each line with a line."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    lines = asyncio.StreamReader(limit=2**20)
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    crowd = Crowd(sys.argv[1], json.loads(await lines.readline()))
    while line := (await lines.readline()).decode().split():
        answer: Any = None
        if line[0] == "connect":
            await crowd.connect()
        elif line[0] == "stall":
            await crowd.stall(int(line[1]))
        elif line[0] == "cut":
            await crowd.cut()
        else:
            answer = crowd.report()
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    asyncio.run(main())

"""Clients of the API, in a process of their own: each sends its next request when it has the answer, or by the clock.

They speak just enough HTTP, so that the processors are left to those who are measured.
"""

import asyncio
import json
import sys
from time import perf_counter
from typing import Final

WARM_UP: Final = 1.0


class Client:
    """One connection."""

    def __init__(self, host: str, port: int, request: bytes) -> None:
        self._address = host, port
        self._request = request

    async def connect(self) -> None:
        self._reader, self._writer = await asyncio.open_connection(*self._address)

    async def ask(self) -> None:
        """Send the request and read its answer, which must be a 201."""
        self._writer.write(self._request)
        head = await self._reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0])
        body = await self._reader.readexactly(length)
        if not head.startswith(b"HTTP/1.1 201"):
            raise RuntimeError(f"{head!r} {body!r}")

    def close(self) -> None:
        self._writer.close()


async def closed_loop(clients: list[Client], seconds: float) -> list[float]:
    """Let every client ask as soon as it may; return how long each answer took."""
    took: list[float] = []
    begin = perf_counter() + WARM_UP
    end = begin + seconds

    async def ask_on(client: Client) -> None:
        while (sent := perf_counter()) < end:
            await client.ask()
            if sent >= begin:
                took.append(perf_counter() - sent)

    await asyncio.gather(*(ask_on(client) for client in clients))
    return took


async def paced(clients: list[Client], rate: float, seconds: float) -> list[float]:
    """Send so many requests a second whatever the answers; return how long each took from the moment it was due."""
    took: list[float] = []
    begin = perf_counter() + 0.1
    free: asyncio.Queue[Client] = asyncio.Queue()
    for client in clients:
        free.put_nowait(client)

    async def ask(due: float) -> None:
        client = await free.get()
        try:
            await client.ask()
        finally:
            free.put_nowait(client)
        if due >= begin + WARM_UP:
            took.append(perf_counter() - due)

    asked = []
    for number in range(int(rate * (seconds + WARM_UP))):
        due = begin + number / rate
        await asyncio.sleep(max(due - perf_counter(), 0))
        asked.append(asyncio.create_task(ask(due)))
    await asyncio.gather(*asked)
    return took


async def main(host: str, port: int, path: str, body: str, clients: int, rate: float, seconds: float) -> list[float]:
    """Ask ``path`` with ``body``; ``rate`` 0 is as fast as it goes."""
    request = (
        f"POST {path} HTTP/1.1\r\nHost: {host}:{port}\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\n\r\n{body}"
    ).encode()
    connected = [Client(host, port, request) for _ in range(clients)]
    for client in connected:
        await client.connect()
    took = await (paced(connected, rate, seconds) if rate else closed_loop(connected, seconds))
    for client in connected:
        client.close()
    return took


if __name__ == "__main__":
    print(json.dumps(asyncio.run(main(**json.loads(sys.argv[1])))))

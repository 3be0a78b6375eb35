"""EventStream: the answer that does not end, as plain ASGI: one task beside the connection's own, and no thread."""

import asyncio
import logging
from collections.abc import Callable
from typing import Final

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from workflow_engine.api.streams.frames import opening
from workflow_engine.api.streams.hub import Hub
from workflow_engine.api.streams.stream import Stream

logger = logging.getLogger(__name__)

_HEADERS: Final = {
    "Content-Type": "text/event-stream; charset=utf-8",
    "Cache-Control": "no-store",
    "X-Accel-Buffering": "no",  # nginx would keep events until it has a page of them
}


class EventStream(Response):
    """Sends what the hub has for a stream until the client leaves or the stream ends."""

    def __init__(self, hub: Hub, open_stream: Callable[[], Stream]) -> None:
        """Open the stream when the answer begins; not before, or nobody might close it."""
        super().__init__(headers=_HEADERS)
        del self.headers["content-length"]
        self._hub = hub
        self._open = open_stream

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer."""
        del scope
        stream = self._open()
        watching = asyncio.create_task(_watch(receive, stream))
        try:
            await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
            await _send(send, opening(self._hub.retry_seconds, stream.reached))
            await self._feed(stream, send)
            await send({"type": "http.response.body", "body": b"", "more_body": False})
        except asyncio.CancelledError:
            if not stream.is_over:
                raise
            logger.info("a client that does not read was given up as the process ends")
        finally:
            watching.cancel()
            self._hub.close(stream)

    async def _feed(self, stream: Stream, send: Send) -> None:
        while True:
            if data := self._hub.take(stream):
                await _send(send, data)
            elif stream.is_over:
                return
            elif stream.is_live:
                await stream.wait()
            else:
                await self._hub.lead_on(stream)


async def _send(send: Send, data: bytes) -> None:
    await send({"type": "http.response.body", "body": data, "more_body": True})


async def _watch(receive: Receive, stream: Stream) -> None:
    """End a stream whose client has left."""
    while (await receive())["type"] != "http.disconnect":
        pass
    stream.end()

"""Limits: how large a request may be, and how long it may take. Nothing here holds a thread."""

import asyncio
from http import HTTPStatus
from typing import Final

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from workflow_engine.api.draining import drain
from workflow_engine.api.problems import problem

_GONE: Final[Message] = {"type": "http.disconnect"}
_HEADERS: Final = (
    ("x-content-type-options", "nosniff"),
    ("x-frame-options", "DENY"),
    ("referrer-policy", "no-referrer"),
    ("cache-control", "no-store"),
)
"""Of every answer that does not say otherwise: it is for one caller, and no page."""


class Limits:
    """Answers 413 to what is too large, 408 to whom is too slow and 503 where the answer takes too long."""

    def __init__(self, app: ASGIApp, *, max_body_bytes: int, seconds: float) -> None:
        self._app = app
        self._max_body_bytes = max_body_bytes
        self._seconds = seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request through within its limits."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        exchange = _Exchange(scope, receive, send, max_body_bytes=self._max_body_bytes, seconds=self._seconds)
        length = Headers(scope=scope).get("content-length", "")
        if length.isdecimal() and int(length) > self._max_body_bytes:
            await exchange.refuse_size(more=True)
        else:
            await exchange.run(self._app)


class _Exchange:
    """One request and its one answer: the application's, or ours if it comes first."""

    def __init__(self, scope: Scope, receive: Receive, send: Send, *, max_body_bytes: int, seconds: float) -> None:
        self._scope = scope
        self._receive = receive
        self._send = send
        self._max_body_bytes = max_body_bytes
        self._seconds = seconds
        self._seen = 0
        self._is_awaited = False
        self._is_received = False
        self._is_begun = False
        self._is_ours = False
        self._timer: asyncio.TimerHandle | None = None
        self._late: asyncio.Task[None] | None = None

    async def run(self, app: ASGIApp) -> None:
        timer = self._timer = asyncio.get_running_loop().call_later(self._seconds, self._on_time)
        try:
            await app(self._scope, self._take, self._give)
        finally:
            timer.cancel()
            if self._late is not None:
                await self._late

    async def refuse_size(self, *, more: bool) -> None:
        """Say that the body is too large; ``more`` of it may be on its way."""
        if self._timer is not None:
            self._timer.cancel()  # what is drained has a time of its own
        if more:
            await drain(self._scope, self._receive)
        await self._answer(
            HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "Too large", f"the body has more than {self._max_body_bytes:,} bytes"
        )

    async def _take(self) -> Message:
        """Receive for the application; what is too large, or too late, looks to it like a client who has left."""
        if self._is_ours:
            return _GONE
        self._is_awaited = not self._is_received
        message = await self._receive()
        self._is_awaited = False
        self._seen += len(message.get("body", b""))
        self._is_received = not message.get("more_body", False)
        if self._seen > self._max_body_bytes:
            await self.refuse_size(more=not self._is_received)
            return _GONE
        return message

    async def _give(self, message: Message) -> None:
        if self._is_ours:
            return  # somebody was quicker
        if message["type"] == "http.response.start":
            self._is_begun = True
            if self._timer is not None:
                self._timer.cancel()
            headers = MutableHeaders(scope=message)
            for name, value in _HEADERS:
                headers.setdefault(name, value)
        await self._send(message)

    def _on_time(self) -> None:
        self._late = asyncio.create_task(self._answer_late())

    async def _answer_late(self) -> None:
        if self._is_awaited:
            reason = f"the request was not complete after {self._seconds:g} s"
            await self._answer(HTTPStatus.REQUEST_TIMEOUT, "Too slow", reason)
        else:
            reason = f"the answer took more than {self._seconds:g} s; what was asked for may be done or not"
            await self._answer(HTTPStatus.SERVICE_UNAVAILABLE, "Took too long", reason)

    async def _answer(self, code: HTTPStatus, title: str, detail: str) -> None:
        if self._is_begun or self._is_ours:
            return
        self._is_ours = True
        response = problem(
            Request(self._scope), code, detail, title=title, headers={"Connection": "close", **dict(_HEADERS)}
        )
        await response(self._scope, self._receive, self._send)

"""Measuring: counts requests and how long they took, by the route's path; never by what was asked for in it."""

from time import perf_counter
from typing import Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from workflow_engine.metrics.api import API_REQUEST_DURATION, API_REQUESTS
from workflow_engine.metrics.meter import Metrics

_NO_ROUTE: Final = "none"
_METHODS: Final = frozenset({"GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"})


class Measuring:
    """Measures each request; the outermost layer, so that what others refuse counts too."""

    def __init__(self, app: ASGIApp, *, metrics: Metrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request through, and measure its answer."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began = perf_counter()

        async def noting(message: Message) -> None:
            if message["type"] == "http.response.start":
                self._note(scope, message["status"], perf_counter() - began)
            await send(message)

        await self._app(scope, receive, noting)

    def _note(self, scope: Scope, code: int, seconds: float) -> None:
        method = scope["method"] if scope["method"] in _METHODS else "other"
        labels = {"method": method, "route": getattr(scope.get("route"), "path", _NO_ROUTE)}
        self._metrics.count(API_REQUESTS, {**labels, "code": str(code)})
        self._metrics.record(API_REQUEST_DURATION, labels, seconds)

"""Authentication: who asks is known before anything else of a request is looked at, its body least of all."""

import ipaddress
from collections.abc import Collection
from typing import Final, Protocol, cast
from urllib.parse import parse_qs, urlsplit

from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from workflow_engine.api.caller import OPEN, Caller
from workflow_engine.api.draining import drain
from workflow_engine.api.problems import problem_of
from workflow_engine.api.rates import Rates
from workflow_engine.api.refusals import Forbidden, Unauthorized
from workflow_engine.api.tokens import Tokens
from workflow_engine.client.stream_tickets import StreamTickets
from workflow_engine.config.api import is_loopback
from workflow_engine.errors import WorkflowEngineError

_CALLER: Final = "workflow_engine.caller"
_OPEN_PATHS: Final = frozenset({"/docs", "/openapi.json"})
_OPEN_FOLDERS: Final = ("/health/", "/docs/")
_STREAM: Final = "/events/stream"


class Door(Protocol):
    """Where requests come in."""

    async def caller(self, scope: Scope) -> Caller:
        """Return who asks.

        Raises:
            Unauthorized, Forbidden, KeysUnavailable: nobody who is let in.
        """


class Authentication:
    """Lets nobody in whom it does not know, whatever the route says; only the health and the documents are open."""

    def __init__(self, app: ASGIApp, *, door: Door, rates: Rates) -> None:
        self._app = app
        self._door = door
        self._rates = rates

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer 401, 403, 429 or 503, or let the request in with its caller."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        try:
            if not is_open(scope):
                scope[_CALLER] = caller = await self._door.caller(scope)
                self._rates.take(caller.subject or "")
        except WorkflowEngineError as error:
            await drain(scope, receive)
            await problem_of(Request(scope), error)(scope, receive, send)
            return
        await self._app(scope, receive, send)


class TokenDoor:
    """Asks for a token."""

    def __init__(self, tokens: Tokens) -> None:
        self._tokens = tokens

    async def caller(self, scope: Scope) -> Caller:
        """Return who a request's token is from.

        Raises:
            Unauthorized: there is none, or it is not valid.
        """
        sent = Headers(scope=scope).getlist("authorization")
        kind, _, token = sent[0].partition(" ") if len(sent) == 1 else ("", "", "")
        if kind.lower() != "bearer" or not token:
            raise Unauthorized(
                "send a token: `Authorization: Bearer …`",
                headers={"WWW-Authenticate": 'Bearer realm="workflow-engine"'},
            )
        return await self._tokens.caller(token.strip())


class TicketDoor:
    """Lets in who brings a ticket, to one stream of events; whoever brings none is sent to the other door."""

    def __init__(self, other: Door, tickets: StreamTickets) -> None:
        self._other = other
        self._tickets = tickets

    async def caller(self, scope: Scope) -> Caller:
        """Return whom a request's ticket stands for.

        Raises:
            Unauthorized: it was used, or its time is over.
            DatabaseUnavailable: nobody can tell.
        """
        found = parse_qs(scope["query_string"].decode("latin-1")).get("ticket", [])
        if not found or not scope["path"].endswith(_STREAM):
            return await self._other.caller(scope)
        kept = await run_in_threadpool(self._tickets.take, found[0]) if len(found) == 1 else None
        if kept is None:
            raise Unauthorized("the ticket was used, or its time is over: ask for another one", field="ticket")
        return Caller.restored(kept)


class LocalDoor:
    """Lets everybody in who is on this machine, but no page of another place that a browser here shows.

    Such a page can send requests to this machine; its ``Origin`` gives it away. And a name that it has made to point
    here (DNS rebinding) is in ``Host``.
    """

    def __init__(self, origins: Collection[str] = ()) -> None:
        self._origins = frozenset(origins)

    async def caller(self, scope: Scope) -> Caller:
        """Return the caller who may do everything.

        Raises:
            Forbidden: the request is not for this machine, or from another place.
        """
        headers = Headers(scope=scope)
        here, _ = scope.get("server") or (None, None)
        if here is not None and _is_address(here) and not is_loopback(here):
            raise Forbidden("authentication is off, so only this machine is served")
        if not _is_here(f"//{headers.get('host', '')}"):
            raise Forbidden("authentication is off, so Host must be 127.0.0.1, ::1 or localhost")
        origin = headers.get("origin")
        if origin is not None and origin not in self._origins and not _is_here(origin):
            raise Forbidden("authentication is off, so pages of other places are not served")
        return OPEN


def known_caller(request: Request) -> Caller:
    """Return who asks, as it was found out at the door.

    Raises:
        Unauthorized: nobody was asked, for the route is not open and yet behind no door.
    """
    if _CALLER not in request.scope:
        raise Unauthorized("nobody knows who asks")
    return cast(Caller, request.scope[_CALLER])


def is_open(scope: Scope) -> bool:
    """Tell whether a request's path is for everybody."""
    return is_open_path(scope["path"].removeprefix(scope.get("root_path", "")))


def is_open_path(path: str) -> bool:
    """Tell whether a path is for everybody."""
    return path in _OPEN_PATHS or path.startswith(_OPEN_FOLDERS)


def _is_here(place: str) -> bool:
    try:
        return is_loopback(urlsplit(place).hostname or "")
    except ValueError:  # "[" alone is no host
        return False


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False  # a name, or the path of a socket, which is on this machine
    return True

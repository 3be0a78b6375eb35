"""Live: what the routes of streams work with."""

from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Request

from workflow_engine.api.dependencies import parts_of
from workflow_engine.api.refusals import Overloaded
from workflow_engine.api.streams.hub import Hub
from workflow_engine.client.stream_tickets import StreamTickets


@dataclass(frozen=True, slots=True, kw_only=True)
class Live:
    """The streams of this process, and the tickets that open one."""

    hub: Hub
    tickets: StreamTickets


async def live_of(request: Request) -> Live:
    """Return what is live here.

    Raises:
        Overloaded: nothing is.
    """
    live = parts_of(request).live
    if live is None:
        raise Overloaded("this server has no streams")
    return live


LiveHere = Annotated[Live, Depends(live_of)]

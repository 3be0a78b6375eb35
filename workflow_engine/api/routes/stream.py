"""Live streams of events (SSE), and tickets for those who cannot send a token."""

from dataclasses import replace
from http import HTTPStatus
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Header, Path, Query, Request, Response
from starlette.concurrency import run_in_threadpool

from workflow_engine.api.caller import Caller, Scope
from workflow_engine.api.dependencies import EventsReader, namespace_of, no_unknown_parameters, parts_of
from workflow_engine.api.schemas.streams import Ticket
from workflow_engine.api.streams.hub import Hub
from workflow_engine.api.streams.live import LiveHere
from workflow_engine.api.streams.response import EventStream
from workflow_engine.client.client import WorkflowClient
from workflow_engine.clock import SystemClock
from workflow_engine.errors import InvalidInput, SubscriberError
from workflow_engine.ids import RunId
from workflow_engine.model.run_options import check_text
from workflow_engine.relay.history import Interest
from workflow_engine.relay.patterns import events_of

router = APIRouter(prefix="/v1", tags=["events"], dependencies=[Depends(no_unknown_parameters)])

_LARGEST: Final = 2**63 - 1
_LONGEST: Final = 200
_STREAM: Final[dict[int | str, dict[str, Any]]] = {
    HTTPStatus.OK.value: {
        "description": "Events as they happen, until the client leaves.",
        "content": {"text/event-stream": {"schema": {"type": "string"}}},
    }
}

Text = Annotated[str, Query(min_length=1, max_length=_LONGEST)]


async def watcher_of(
    caller: EventsReader,
    ticket: Annotated[
        Text | None, Query(description="In place of a token: from `POST /v1/events/tickets`, good once.")
    ] = None,
) -> Caller:
    """Return who wants to watch; a ticket was looked at where the request came in."""
    del ticket
    return caller


Watcher = Annotated[Caller, Depends(watcher_of)]


async def watched_namespace(namespace: Annotated[str, Depends(namespace_of)]) -> str:
    """Return the one namespace that is watched.

    Raises:
        InvalidInput: it cannot be one.
    """
    return check_text("namespace", namespace)


WatchedNamespace = Annotated[str, Depends(watched_namespace)]


async def names_of(
    event: Annotated[
        list[Text] | None,
        Query(max_length=50, description="Only such events: names or globs (`run.*`); may be repeated."),
    ] = None,
) -> frozenset[str] | None:
    """Return the events that are wanted; None for all.

    Raises:
        InvalidInput: a name or glob means none.
    """
    if not event:
        return None
    try:
        return frozenset(name for pattern in event for name in events_of(pattern))
    except SubscriberError as error:
        raise InvalidInput("event", str(error)) from None


Names = Annotated[frozenset[str] | None, Depends(names_of)]


async def after_of(
    header: Annotated[
        str | None,
        Header(alias="Last-Event-ID", description="Begin after this event's `id`: browsers send it by themselves."),
    ] = None,
    last_event_id: Annotated[
        str | None, Query(description="The same, for who cannot send a header; `0` is the beginning of the log.")
    ] = None,
) -> int | None:
    """Return after which place of the log to begin; None for now. The header is what the client knows last.

    Raises:
        InvalidInput: that is no place.
    """
    field, text = ("Last-Event-ID", header) if header else ("last_event_id", last_event_id)
    if not text:
        return None
    if not (text.isascii() and text.isdecimal()) or len(text) > len(str(_LARGEST)) or int(text) > _LARGEST:
        raise InvalidInput(field, "must be the `id` of an event of a stream: a whole number")
    return int(text)


After = Annotated[int | None, Depends(after_of)]


async def all_of_namespace(
    request: Request,
    caller: Watcher,
    namespace: WatchedNamespace,
    names: Names,
    run: Annotated[Text | None, Query(description="Only events of this run.")] = None,
    workflow: Annotated[Text | None, Query(description="Only events of runs of this workflow.")] = None,
    mine: Annotated[bool, Query(description="Only events of runs that the caller submitted.")] = False,
) -> Interest:
    """Return which events are watched.

    Raises:
        InvalidInput: nobody knows who the caller is whose runs are wanted.
        RunNotFound: there is no such run in the namespace.
    """
    if mine and caller.subject is None:
        raise InvalidInput("mine", "nobody had to say who they are, so no run is theirs")
    return Interest(
        namespace=namespace,
        run_id=None if run is None else await _known_run(request, namespace, run),
        workflow=None if workflow is None else check_text("workflow", workflow),
        names=names,
        initiator=caller.subject if mine else None,
    )


async def all_of_run(
    request: Request,
    run_id: Annotated[str, Path(description="The run's id.")],
    namespace: WatchedNamespace,
    names: Names,
) -> Interest:
    """Return which events are watched, of one run.

    Raises:
        RunNotFound: there is no such run in the namespace.
    """
    return Interest(namespace=namespace, run_id=await _known_run(request, namespace, run_id), names=names)


@router.get("/events/stream", response_class=Response, responses=_STREAM)
async def stream_events(
    caller: Watcher, live: LiveHere, interest: Annotated[Interest, Depends(all_of_namespace)], after: After
) -> Response:
    """Follow events live, as server-sent events: of a namespace, a run, or one's own runs.

    Each has its place in the log as `id`: who comes back with the last one gets what happened meanwhile first, nothing
    left out and nothing twice. `gap` tells of events that are not sent, and after which `id` to ask for them;
    `coalesced` of more than 10 a second, where a user follows all their runs; `end` says why not to come back.
    """
    return await _answer(live.hub, interest, caller, after)


@router.get("/runs/{run_id}/events/stream", response_class=Response, responses=_STREAM)
async def stream_events_of_run(
    caller: Watcher, live: LiveHere, interest: Annotated[Interest, Depends(all_of_run)], after: After
) -> Response:
    """Follow the events of one run live, as server-sent events; `last_event_id=0` begins with its first.

    It goes on after the run's end: a run that has failed may be retried.
    """
    return await _answer(live.hub, interest, caller, after)


@router.post("/events/tickets", status_code=HTTPStatus.CREATED)
def give_ticket(live: LiveHere, caller: EventsReader, namespace: WatchedNamespace) -> Ticket:
    """Give a ticket for one stream, good once and for a minute: for browsers, whose EventSource sends no token.

    It stands for the caller, in this one namespace and until their token ends, and for nothing but to watch.
    """
    watcher = replace(caller, namespaces=frozenset({namespace}), scopes=frozenset({Scope.EVENTS_READ}))
    ticket, expires_at = live.tickets.give(watcher.kept())
    return Ticket(ticket=ticket, expires_at=expires_at)


async def _answer(hub: Hub, interest: Interest, caller: Caller, after: int | None) -> EventStream:
    await hub.require_ready()
    left = None if caller.expires_at is None else caller.expires_at - SystemClock().now().timestamp()
    return EventStream(hub, lambda: hub.open(interest, after=after, expires_in=left))


async def _known_run(request: Request, namespace: str, run_id: str) -> RunId:
    client: WorkflowClient = parts_of(request).client.in_namespace(namespace)
    return (await run_in_threadpool(client.run, run_id)).id

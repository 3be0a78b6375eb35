"""What a route may ask FastAPI for: the parts, the caller, and the client of the request's one namespace.

All of it is ``async`` although it waits for nothing: FastAPI runs a plain ``def`` in another thread, and the way there
and back costs more than the work.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Annotated, Any, Final, cast

from fastapi import Depends, Query
from fastapi.routing import APIRoute
from pydantic import BaseModel
from starlette.requests import Request

from workflow_engine.api.authentication import known_caller
from workflow_engine.api.caller import Caller, Scope
from workflow_engine.api.links import LinkMaker
from workflow_engine.api.parts import Parts
from workflow_engine.client.client import WorkflowClient
from workflow_engine.definitions.names import did_you_mean
from workflow_engine.errors import InvalidInput

_NAMESPACE_LIMIT: Final = 100

Namespace = Annotated[
    str | None, Query(description="Yours, if there is only one; else the one this server is set up for.")
]

_parameters: Final[dict[str, frozenset[str]]] = {}
"""By the ids that routes have in the document."""


def parts_of(request: Request) -> Parts:
    """Return what the application is made of."""
    return cast(Parts, request.app.state.parts)


async def caller_of(request: Request) -> Caller:
    """Return who asks, as it was found out at the door.

    Raises:
        Unauthorized: nobody knows.
    """
    return known_caller(request)


async def namespace_of(
    request: Request, caller: Annotated[Caller, Depends(caller_of)], namespace: Namespace = None
) -> str:
    """Return the one namespace that the request is about.

    Raises:
        Forbidden: it is none of the caller's.
    """
    return _chosen(request, caller, namespace)


async def no_unknown_parameters(request: Request) -> None:
    """See ``refuse_unknown_parameters``; for routes that ask for nothing of what is below."""
    refuse_unknown_parameters(request)


def refuse_unknown_parameters(request: Request) -> None:
    """Refuse a query parameter that the route does not have: a filter with a typing error would let everything through.

    Raises:
        InvalidInput: there is one; the message names it.
    """
    if not request.query_params:
        return
    known = _parameters_of(request.scope["route"])
    for name in request.query_params:
        if name not in known:
            raise InvalidInput(name[:100], f"is no parameter here{did_you_mean(name[:100], known)}")


def _parameters_of(route: APIRoute) -> frozenset[str]:
    """Return the names of a route's query parameters, found out once."""
    if route.unique_id not in _parameters:
        _parameters[route.unique_id] = _find_parameters(route)
    return _parameters[route.unique_id]


def _find_parameters(route: APIRoute) -> frozenset[str]:
    names: set[str] = set()
    to_visit = [route.dependant]
    while to_visit:
        dependant = to_visit.pop()
        to_visit += dependant.dependencies
        for field in dependant.query_params:
            model: Any = field.field_info.annotation
            is_model = isinstance(model, type) and issubclass(model, BaseModel)
            names |= model.model_fields.keys() if is_model else {field.alias}
    return frozenset(names)


def allowed(scope: Scope) -> Callable[..., Awaitable[Caller]]:
    """Return what gives a route the caller if they have a scope, and else answers 403."""

    async def allowed_caller(caller: Annotated[Caller, Depends(caller_of)]) -> Caller:
        return caller.require(scope)

    return allowed_caller


@dataclass(frozen=True, slots=True)
class Asked:
    """What most routes need: who asks, about which namespace."""

    caller: Caller
    client: WorkflowClient
    """Of the request's one namespace."""
    links: LinkMaker


def asking(scope: Scope) -> Callable[..., Awaitable[Asked]]:
    """Return what gives a route all it needs at once, for callers who have a scope.

    One dependency, and none inside it: FastAPI takes as long for each as for a look at the database.
    """

    async def ask(request: Request, namespace: Namespace = None) -> Asked:
        refuse_unknown_parameters(request)
        parts = parts_of(request)
        caller = known_caller(request).require(scope)
        name = _chosen(request, caller, namespace)
        named = None if name == parts.settings.namespace else name
        links = LinkMaker(request.scope.get("root_path", "").rstrip("/"), named, parts.flower)
        return Asked(caller, parts.client.in_namespace(name), links)

    return ask


def _chosen(request: Request, caller: Caller, namespace: str | None) -> str:
    if namespace is not None and not 1 <= len(namespace) <= _NAMESPACE_LIMIT:
        raise InvalidInput("namespace", f"must have 1 to {_NAMESPACE_LIMIT} characters, not {len(namespace)}")
    return caller.namespace(namespace, parts_of(request).settings.namespace)


Reading = Annotated[Asked, Depends(asking(Scope.RUNS_READ))]
"""For callers with ``runs:read``."""
Writing = Annotated[Asked, Depends(asking(Scope.RUNS_WRITE))]
"""For callers with ``runs:write``."""
ReadingEvents = Annotated[Asked, Depends(asking(Scope.EVENTS_READ))]
"""For callers with ``events:read``."""
EventsReader = Annotated[Caller, Depends(allowed(Scope.EVENTS_READ))]
"""The caller alone, with ``events:read``: for what is of no namespace, or takes it from elsewhere."""

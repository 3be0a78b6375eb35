"""What a route may ask FastAPI for: the parts, the caller, and the client of the request's one namespace.

All of it is ``async`` although it waits for nothing: FastAPI runs a plain ``def`` in another thread, and the way there
and back costs more than the work.
"""

from collections.abc import Awaitable, Callable
from typing import Annotated, Any, Final, cast

from fastapi import Depends, Query
from fastapi.routing import APIRoute
from fastapi.security import HTTPBearer
from pydantic import BaseModel
from starlette.requests import Request

from workflow_engine.api.authentication import known_caller
from workflow_engine.api.caller import Caller, Scope
from workflow_engine.api.parts import Parts
from workflow_engine.client.client import WorkflowClient
from workflow_engine.definitions.names import did_you_mean
from workflow_engine.errors import InvalidInput

_NAMESPACE_LIMIT: Final = 100
_BEARER: Final = HTTPBearer(auto_error=False, scheme_name="token", bearerFormat="JWT")
"""Only says so in the OpenAPI document."""


_parameters: Final[dict[str, frozenset[str]]] = {}
"""By the ids that routes have in the document."""


def parts_of(request: Request) -> Parts:
    """Return what the application is made of."""
    return cast(Parts, request.app.state.parts)


async def caller_of(request: Request, _: Annotated[object, Depends(_BEARER)]) -> Caller:
    """Return who asks, as it was found out at the door.

    Raises:
        Unauthorized: nobody knows.
    """
    return known_caller(request)


async def namespace_of(
    request: Request,
    caller: Annotated[Caller, Depends(caller_of)],
    namespace: Annotated[
        str | None, Query(description="Yours, if there is only one; else the one this server is set up for.")
    ] = None,
) -> str:
    """Return the one namespace that the request is about.

    Raises:
        Forbidden: it is none of the caller's.
    """
    if namespace is not None and not 1 <= len(namespace) <= _NAMESPACE_LIMIT:
        raise InvalidInput("namespace", f"must have 1 to {_NAMESPACE_LIMIT} characters, not {len(namespace)}")
    return caller.namespace(namespace, parts_of(request).settings.namespace)


async def no_unknown_parameters(request: Request) -> None:
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


async def client_of(request: Request, namespace: Annotated[str, Depends(namespace_of)]) -> WorkflowClient:
    """Return the client of the request's one namespace."""
    return parts_of(request).client.in_namespace(namespace)


RunsClient = Annotated[WorkflowClient, Depends(client_of)]
"""The client of the request's namespace; pair it with one of the callers below."""
Reader = Annotated[Caller, Depends(allowed(Scope.RUNS_READ))]
"""A caller with ``runs:read``."""
Writer = Annotated[Caller, Depends(allowed(Scope.RUNS_WRITE))]
"""A caller with ``runs:write``."""
EventsReader = Annotated[Caller, Depends(allowed(Scope.EVENTS_READ))]
"""A caller with ``events:read``."""
Admin = Annotated[Caller, Depends(allowed(Scope.ADMIN))]
"""A caller with ``admin``."""

"""Whether the API lives, is ready and has started: for whoever runs it, so without a token."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Final, Literal

from anyio import to_thread
from fastapi import APIRouter, Depends, Response
from pydantic import BaseModel, Field
from starlette.requests import Request

from workflow_engine.api.dependencies import no_unknown_parameters, parts_of

router = APIRouter(prefix="/health", tags=["health"], dependencies=[Depends(no_unknown_parameters)])


class Health(BaseModel):
    """How the API is."""

    state: Literal["ok", "failing"] = Field(examples=["ok"])
    reasons: dict[str, str] = Field(default={}, description="What is wrong, by what was looked at.", examples=[{}])


_FAILING: Final[dict[int | str, dict[str, Any]]] = {
    503: {"model": Health, "description": "Not now; the reasons say why."}
}


@router.get("/live")
async def live() -> Health:
    """Say that this process answers; nothing is looked at, so nothing but this process can make it fail."""
    return Health(state="ok")


@router.get("/ready", responses=_FAILING)
async def ready(request: Request, response: Response) -> Health:
    """Look at the database, its migrations and the broker: 503 while one of them is not as it should be."""
    return _health(await _look(request), response)


@router.get("/startup", responses=_FAILING)
async def started(request: Request, response: Response) -> Health:
    """Say whether the API has been ready once; after that nothing is looked at any more."""
    return _health({} if parts_of(request).readiness.has_been else await _look(request), response)


async def _look(request: Request) -> Mapping[str, str]:
    """Return what is wrong. In a thread of its own: all others may be waiting for a database that is away."""
    readiness = parts_of(request).readiness
    return await to_thread.run_sync(readiness.reasons, limiter=readiness.limiter)


def _health(reasons: Mapping[str, str], response: Response) -> Health:
    if reasons:
        response.status_code = HTTPStatus.SERVICE_UNAVAILABLE
    return Health(state="failing" if reasons else "ok", reasons=dict(reasons))

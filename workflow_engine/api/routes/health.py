"""Whether the API lives, is ready and has started: for whoever runs it, so without a token."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Final, Literal

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
def ready(request: Request, response: Response) -> Health:
    """Look at the database, its migrations and the broker: 503 while one of them is not as it should be."""
    return _health(parts_of(request).readiness.reasons(), response)


@router.get("/startup", responses=_FAILING)
def started(request: Request, response: Response) -> Health:
    """Say whether the API has been ready once; after that nothing is looked at any more."""
    readiness = parts_of(request).readiness
    return _health({} if readiness.has_been else readiness.reasons(), response)


def _health(reasons: Mapping[str, str], response: Response) -> Health:
    if reasons:
        response.status_code = HTTPStatus.SERVICE_UNAVAILABLE
    return Health(state="failing" if reasons else "ok", reasons=dict(reasons))

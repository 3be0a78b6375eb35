"""What this process measures, for Prometheus."""

from typing import Annotated

from fastapi import APIRouter, Header, Response
from fastapi.responses import PlainTextResponse
from starlette.requests import Request

from workflow_engine.api.caller import ANY_NAMESPACE
from workflow_engine.api.dependencies import Reading, parts_of
from workflow_engine.api.refusals import Forbidden, NotThere

router = APIRouter(tags=["metrics"])


@router.get("/metrics", response_class=PlainTextResponse)
def read_metrics(
    request: Request, asked: Reading, accept: Annotated[str, Header(include_in_schema=False)] = ""
) -> Response:
    """Return the metrics of this process in Prometheus's text format, for callers who see every namespace."""
    if not asked.caller.sees(ANY_NAMESPACE):
        raise Forbidden("metrics are about every namespace, and not all of them are yours", field="namespace")
    metrics = parts_of(request).metrics
    if metrics is None:
        raise NotThere("this process does not measure itself")
    text, media_type = metrics.exposition(accept)
    return Response(text, media_type=media_type)

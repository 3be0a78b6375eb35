"""Submit runs, and show them. What changes a run is in ``lifecycle.py``, what is told of one in ``run_details.py``."""

from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Header, Path, Query, Response

from workflow_engine.api.dependencies import Reading, Writing
from workflow_engine.api.pages import FIFTY, Cursor, Limit, Page
from workflow_engine.api.schemas.filters import RunsWanted
from workflow_engine.api.schemas.runs import (
    Run,
    RunHeaders,
    RunRequest,
    RunSummary,
    Submitted,
    run_of,
    summary_of,
)
from workflow_engine.errors import InvalidInput

router = APIRouter(prefix="/v1", tags=["runs"])

RunId = Annotated[str, Path(description="The run's id.")]


@router.post(
    "/workflows/{name}/runs",
    status_code=HTTPStatus.CREATED,
    responses={200: {"model": Submitted, "description": "The run that the `Idempotency-Key` belongs to."}},
)
def submit_run(
    name: Annotated[str, Path(description="The workflow's name.")],
    body: RunRequest,
    response: Response,
    asked: Writing,
    headers: Annotated[RunHeaders, Header()],
) -> Submitted:
    """Store a run and start it. The answer comes after the commit: what is answered is not lost.

    A new run is answered with 201; a repeated `Idempotency-Key` with 200 and the first run, unless the input is
    another one: that is a 409.
    """
    options = {**headers.options, **body.options, "initiator": asked.caller.acts_as(body.initiator, "initiator")}
    run = asked.client.submit(_checked(name), body.input, version=body.version, **options)
    found = asked.links.of(run.id)
    if not run.created:
        response.status_code = HTTPStatus.OK
    response.headers["Location"] = found.itself
    return Submitted.model_construct(id=run.id, created=run.created, links=found)


@router.get("/runs")
def list_runs(
    asked: Reading,
    wanted: Annotated[RunsWanted, Query()],
    limit: Limit = FIFTY,
    cursor: Cursor = None,
) -> Page[RunSummary]:
    """List runs, the newest first, without inputs and results: those that fit all that is said.

    A page looks at a bounded number of runs: it may be short, or empty, and yet have a `next`.
    """
    found = asked.client.page_runs(limit=limit, cursor=cursor, **wanted.values)
    return Page.model_construct(
        items=[summary_of(each, asked.links.of(each.id)) for each in found.items], next=found.next
    )


@router.get("/runs/{run_id}")
def show_run(run_id: RunId, asked: Reading) -> Run:
    """Show a run: where it stands, what it was given, and what came of it."""
    details = asked.client.details(run_id)
    result = details.result() if details.run.is_final else None
    return run_of(details.run, asked.links.of(details.run.id), result)


def _checked(name: str) -> str:
    if not 1 <= len(name) <= 100:  # noqa: PLR2004
        raise InvalidInput("name", f"a workflow's name has 1 to 100 characters, not {len(name)}")
    return name

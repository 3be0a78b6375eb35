"""Workflows: which there are, and what they look like."""

from hashlib import blake2b
from http import HTTPStatus
from typing import Annotated, Any

from fastapi import APIRouter, Header, Path, Query, Response

from workflow_engine.api.dependencies import Reading
from workflow_engine.api.pages import FIFTY, Cursor, Limit, Page, page_of, parse_cursor
from workflow_engine.api.schemas.workflows import WorkflowItem, WorkflowShown, workflow_item, workflow_shown

router = APIRouter(prefix="/v1/workflows", tags=["workflows"])


@router.get("")
def list_workflows(asked: Reading, limit: Limit = FIFTY, cursor: Cursor = None) -> Page[WorkflowItem]:
    """List the workflows that this server has loaded, and all that were ever submitted, by name."""
    place = parse_cursor("workflows", cursor, str)
    found = asked.client.definitions.page(limit, after="" if place is None else place[0])
    return page_of(found, limit, workflow_item, question="workflows", place=lambda last: [last.name])


@router.get("/{name}", responses={304: {"description": "It is still as the `ETag` says."}})
def show_workflow(  # the answer is made here, so that what is hashed is what is sent
    name: Annotated[str, Path(description="The workflow's name.")],
    asked: Reading,
    version: Annotated[str | None, Query(description="The one registered last unless given.")] = None,
    if_none_match: Annotated[str | None, Header(description="The `ETag` of what you have.")] = None,
) -> WorkflowShown:
    """Show a workflow: its steps, who waits for whom, its versions, and what its input must fit.

    The answer has an `ETag`; with it in `If-None-Match` an unchanged workflow is a 304 without a body.
    """
    shown = workflow_shown(asked.client.definitions.get(name, version)).model_dump_json().encode()
    tag = f'"{blake2b(shown, digest_size=12).hexdigest()}"'
    headers = {"ETag": tag, "Cache-Control": "no-cache"}
    if if_none_match is not None and (tag in _tags(if_none_match) or if_none_match.strip() == "*"):
        answer: Any = Response(status_code=HTTPStatus.NOT_MODIFIED, headers=headers)
    else:
        answer = Response(shown, headers=headers, media_type="application/json")
    return answer  # type: ignore[no-any-return]  # the annotation is the document's; a response goes out as it is


def _tags(header: str) -> list[str]:
    """Return the tags of an ``If-None-Match``; a proxy may have made them weak."""
    return [tag.strip().removeprefix("W/") for tag in header.split(",")]

"""Submit many runs at once."""

from http import HTTPStatus

from fastapi import APIRouter, Response

from workflow_engine.api.dependencies import Writing
from workflow_engine.api.schemas.batch import Batch, BatchSubmitted
from workflow_engine.api.schemas.runs import Submitted

router = APIRouter(prefix="/v1/runs", tags=["runs"])


@router.post(
    "/batch",
    status_code=HTTPStatus.CREATED,
    responses={200: {"model": BatchSubmitted, "description": "Every run was there before."}},
)
def submit_batch(body: Batch, response: Response, asked: Writing) -> BatchSubmitted:
    """Store up to 1,000 runs in one transaction, and start them: all of them, or none.

    Answered with 200 where every one was there before by its `idempotency_key`, else with 201.
    """
    runs = asked.client.submit_batch(body.to_submit(asked.caller.acts_as))
    if not any(run.created for run in runs):
        response.status_code = HTTPStatus.OK
    return BatchSubmitted.model_construct(
        items=[Submitted.model_construct(id=run.id, created=run.created, links=asked.links.of(run.id)) for run in runs]
    )

"""The same done to many runs: those that fit a filter, at most 1,000 a request, each in a transaction of its own.

Behind ``/runs/bulk/…``: a run's id is no word, so the two cannot be taken for each other.
"""

from fastapi import APIRouter

from workflow_engine.api.dependencies import RunsClient, Writer
from workflow_engine.api.schemas.bulk import Bulk, BulkDone, bulk_done

router = APIRouter(prefix="/v1/runs/bulk", tags=["bulk"])


@router.post("/cancel")
def cancel_runs(body: Bulk, client: RunsClient, caller: Writer) -> BulkDone:
    """Cancel the runs that fit."""
    return bulk_done(client.in_bulk.cancel(**body.wanted(caller.acts_as(body.actor))), dry_run=body.dry_run)


@router.post("/pause")
def pause_runs(body: Bulk, client: RunsClient, caller: Writer) -> BulkDone:
    """Pause the runs that fit."""
    return bulk_done(client.in_bulk.pause(**body.wanted(caller.acts_as(body.actor))), dry_run=body.dry_run)


@router.post("/resume")
def resume_runs(body: Bulk, client: RunsClient, caller: Writer) -> BulkDone:
    """Resume the runs that fit."""
    return bulk_done(client.in_bulk.resume(**body.wanted(caller.acts_as(body.actor))), dry_run=body.dry_run)


@router.post("/retry")
def retry_runs(body: Bulk, client: RunsClient, caller: Writer) -> BulkDone:
    """Retry what has failed of the runs that fit."""
    return bulk_done(client.in_bulk.retry(**body.wanted(caller.acts_as(body.actor))), dry_run=body.dry_run)

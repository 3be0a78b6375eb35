"""The same done to many runs: those that fit a filter, at most 1,000 a request, each in a transaction of its own.

Behind ``/runs/bulk/…``: a run's id is no word, so the two cannot be taken for each other.
"""

from fastapi import APIRouter

from workflow_engine.api.dependencies import Writing
from workflow_engine.api.schemas.bulk import Bulk, BulkDone, BulkUpdate, bulk_done

router = APIRouter(prefix="/v1/runs/bulk", tags=["bulk"])


@router.post("/cancel")
def cancel_runs(body: Bulk, asked: Writing) -> BulkDone:
    """Cancel the runs that fit."""
    return bulk_done(asked.client.in_bulk.cancel(**body.wanted(asked.caller.acts_as(body.actor))), dry_run=body.dry_run)


@router.post("/pause")
def pause_runs(body: Bulk, asked: Writing) -> BulkDone:
    """Pause the runs that fit."""
    return bulk_done(asked.client.in_bulk.pause(**body.wanted(asked.caller.acts_as(body.actor))), dry_run=body.dry_run)


@router.post("/resume")
def resume_runs(body: Bulk, asked: Writing) -> BulkDone:
    """Resume the runs that fit."""
    return bulk_done(asked.client.in_bulk.resume(**body.wanted(asked.caller.acts_as(body.actor))), dry_run=body.dry_run)


@router.post("/retry")
def retry_runs(body: Bulk, asked: Writing) -> BulkDone:
    """Retry what has failed of the runs that fit."""
    return bulk_done(asked.client.in_bulk.retry(**body.wanted(asked.caller.acts_as(body.actor))), dry_run=body.dry_run)


@router.post("/update")
def update_runs(body: BulkUpdate, asked: Writing) -> BulkDone:
    """Change what is said about the runs that fit and have not ended. A reason is not kept."""
    found = asked.client.in_bulk.update(body.changes.values, **body.wanted(asked.caller.acts_as(body.actor)))
    return bulk_done(found, dry_run=body.dry_run)


@router.post("/delete")
def delete_runs(body: Bulk, asked: Writing) -> BulkDone:
    """Forget the runs that fit and have ended, 100 in a transaction."""
    return bulk_done(asked.client.in_bulk.delete(**body.wanted(asked.caller.acts_as(body.actor))), dry_run=body.dry_run)

"""The workers that were heard of."""

from datetime import datetime

from fastapi import APIRouter
from pydantic import BaseModel, Field
from starlette.requests import Request

from workflow_engine.api.dependencies import Reading, parts_of
from workflow_engine.api.pages import FIFTY, Cursor, Limit, Page, page_of, parse_cursor

router = APIRouter(prefix="/v1/workers", tags=["workers"])


class Worker(BaseModel):
    """A worker, as it was last heard of."""

    id: str
    name: str = Field(description="Celery's name of it: `name@host`.")
    queues: list[str]
    pool: str | None
    concurrency: int | None
    started_at: datetime
    heartbeat_at: datetime
    silent_seconds: float
    steps_held: int | None = Field(description="Steps it runs, of all namespaces; null for who may not see them all.")
    alive: bool = Field(description="False: it was silent for longer than its lease; its steps are given to others.")


@router.get("")
def list_workers(request: Request, asked: Reading, limit: Limit = FIFTY, cursor: Cursor = None) -> Page[Worker]:
    """List the workers that were heard of within the last day, whatever the namespace of what they run."""
    lease = parts_of(request).settings.lease_seconds
    place = parse_cursor("workers", cursor, str)
    known = sorted(asked.client.workers(), key=lambda each: each.id)
    behind = [each for each in known if place is None or each.id > place[0]]
    shown = [name for name in Worker.model_fields if name not in {"alive", "steps_held"}]
    sees_all = asked.caller.sees_all
    return page_of(
        behind[:limit],
        limit,
        lambda each: Worker.model_construct(
            None,
            **{name: getattr(each, name) for name in shown},
            steps_held=each.steps_held if sees_all else None,
            alive=each.silent_seconds < lease,
        ),
        question="workers",
        place=lambda last: [last.id],
    )

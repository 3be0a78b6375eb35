"""The same done to many runs: what is said, and what is answered."""

from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from workflow_engine.api.pages import PAGE_LIMIT
from workflow_engine.api.schemas.filters import RunFilterBody
from workflow_engine.api.schemas.lifecycle import Changes, Said
from workflow_engine.api.schemas.requests import Switch
from workflow_engine.client.bulk import DoneInBulk


class Bulk(Said):
    """Which runs are meant, and what is said about what is done to them."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"filter": {"workflow": "orders", "tags": ["orders"]}, "dry_run": True}]}
    )

    filter: RunFilterBody = Field(description="Which runs: those that fit all that is said; it must say something.")
    dry_run: Switch = Field(default=False, description="Say what would be done, and do nothing.")
    limit: int = Field(
        default=PAGE_LIMIT, ge=1, le=PAGE_LIMIT, strict=True, description="How many runs at most, the oldest first."
    )

    def wanted(self, actor: str | None) -> dict[str, Any]:
        """Return it as ``client.in_bulk`` takes it."""
        about = {"reason": self.reason, "actor": actor, "dry_run": self.dry_run, "limit": self.limit}
        return {**self.filter.said(), **about}


class BulkUpdate(Bulk):
    """Which runs are meant, and what is to be said anew about them."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"filter": {"workflow": "orders"}, "changes": {"priority": "low"}}]}
    )

    changes: Changes


class RefusedRun(BaseModel):
    """A run with which it could not be done."""

    id: str
    reason: str


class BulkDone(BaseModel):
    """What came of a bulk."""

    dry_run: bool
    matched: int = Field(description="How many runs were tried; of a dry run, would be.")
    done: list[str] = Field(description="The ids of those that were changed; of a dry run, of those that were meant.")
    refused: list[RefusedRun]
    more: bool = Field(description="Whether more runs fit than were tried: ask again.")


def bulk_done(found: DoneInBulk, *, dry_run: bool) -> BulkDone:
    """Return what came of a bulk as it is shown."""
    return BulkDone(
        dry_run=dry_run,
        matched=len(found.done) + len(found.refused),
        done=list(found.done),
        refused=[RefusedRun(id=each.id, reason=each.why) for each in found.refused],
        more=found.more,
    )

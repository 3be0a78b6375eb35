"""Runs of which nothing has moved for longer than it may take."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from workflow_engine.ids import RunId
from workflow_engine.model.explanation import Reason
from workflow_engine.model.run import RunState

WARNED_AT: Final = 0.8
"""The part of its limit after which a run that stands still is warned of."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StaleRun:
    """A run that stands still, and why."""

    run_id: RunId
    workflow: str
    version: str
    state: RunState
    created_at: datetime
    since: datetime
    """When something of it moved for the last time, or a time that it had to wait for was over."""
    stands_for: timedelta
    limit: timedelta
    """How long it may stand still: its workflow's ``stale_after``, else the setting's."""
    reason: Reason
    step: str | None
    sentence: str
    """Why, for people."""

    @property
    def is_stale(self) -> bool:
        """Whether it stands for longer than it may; else it is only warned of."""
        return self.stands_for >= self.limit

"""Many runs at a glance; before the routes of one run, for ``statistics`` and ``stale`` are no ids."""

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Query

from workflow_engine.api.dependencies import Reading
from workflow_engine.api.pages import FIFTY, Cursor, Limit, Page, as_cursor, parse_cursor
from workflow_engine.api.schemas.filters import RunsMeant
from workflow_engine.api.schemas.overviews import Stale, Statistics, stale_of, statistics_of
from workflow_engine.model.dead_letters import parse_run_id

router = APIRouter(prefix="/v1/runs", tags=["runs"])

_STALE = "stale"


@router.get("/statistics")
def show_statistics(asked: Reading, wanted: Annotated[RunsMeant, Query()]) -> Statistics:
    """Count the runs that fit and were submitted within a time, by default the last day and at most 31 days.

    How they ended, and how long they took, by workflow and hour too. At most the newest 50,000 are looked at.
    """
    return statistics_of(asked.client.statistics(**wanted.values))


@router.get("/stale")
def list_stale(asked: Reading, limit: Limit = FIFTY, cursor: Cursor = None) -> Page[Stale]:
    """List the runs of which nothing has moved for 80 % of what they may or more, the oldest first, each with why.

    A page looks at 2,000 unfinished runs: it may be short, or empty, and yet have a `next`.
    """
    place = parse_cursor(_STALE, cursor, datetime, str)
    after = None if place is None else (place[0], parse_run_id(place[1], field="cursor"))
    found, following = asked.client.stale_runs(limit=limit, after=after)
    return Page(items=[stale_of(each) for each in found], next=following and as_cursor(_STALE, *following))

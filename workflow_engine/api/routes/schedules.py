"""Schedules: make, list, show, change, pause, resume, delete."""

from datetime import datetime
from http import HTTPStatus
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Response

from workflow_engine.api.caller import Caller
from workflow_engine.api.dependencies import Reading, Writing
from workflow_engine.api.pages import FIFTY, PAGE_LIMIT, Cursor, Limit, Page, page_of, parse_cursor
from workflow_engine.api.schemas.lifecycle import Acting
from workflow_engine.api.schemas.schedules import (
    Occurrence,
    Schedule,
    ScheduleChange,
    ScheduleRequest,
    ScheduleTerms,
    Upcoming,
    occurrence_of,
    schedule_of,
)
from workflow_engine.client.schedules import UNCHANGED

router = APIRouter(prefix="/v1/schedules", tags=["schedules"])

Name = Annotated[str, Path(description="The schedule's name.")]
_NOBODY_NAMED = Acting()


@router.post("", status_code=HTTPStatus.CREATED)
def create_schedule(body: ScheduleRequest, response: Response, asked: Writing) -> Schedule:
    """Start runs of a workflow again and again, by `cron` or `rrule`."""
    made = asked.client.schedules.create(
        body.name, body.workflow, body.input, actor=asked.caller.acts_as(body.actor), **_values(body, asked.caller)
    )
    response.headers["Location"] = f"/v1/schedules/{made.name}"
    return schedule_of(made)


@router.get("")
def list_schedules(
    asked: Reading,
    workflow: Annotated[str | None, Query(max_length=200, description="Only schedules of this workflow.")] = None,
    limit: Limit = FIFTY,
    cursor: Cursor = None,
) -> Page[Schedule]:
    """List schedules by name."""
    question = f"schedules {workflow or ''}"
    place = parse_cursor(question, cursor, str)
    found = asked.client.schedules.list(workflow=workflow, limit=limit, after=None if place is None else place[0])
    return page_of(found, limit, schedule_of, question=question, place=lambda last: [last.name])


@router.get("/{name}")
def show_schedule(name: Name, asked: Reading) -> Schedule:
    """Show a schedule."""
    return schedule_of(asked.client.schedules.get(name))


@router.patch("/{name}")
def update_schedule(name: Name, body: ScheduleChange, asked: Writing) -> Schedule:
    """Change some of a schedule, at once; what is not said stays as it is."""
    value = body.input if "input" in body.model_fields_set else UNCHANGED
    changed = asked.client.schedules.update(
        name, input=value, actor=asked.caller.acts_as(body.actor), **_values(body, asked.caller)
    )
    return schedule_of(changed)


@router.delete("/{name}", status_code=HTTPStatus.NO_CONTENT)
def delete_schedule(name: Name, asked: Writing) -> None:
    """Forget a schedule; runs that it started go on."""
    asked.client.schedules.delete(name, actor=asked.caller.acts_as(None))


@router.post("/{name}/pause")
def pause_schedule(name: Name, asked: Writing, body: Acting = _NOBODY_NAMED) -> Schedule:
    """Let a schedule rest: what comes due until it is resumed is not made up for."""
    return schedule_of(asked.client.schedules.pause(name, actor=asked.caller.acts_as(body.actor)))


@router.post("/{name}/resume")
def resume_schedule(name: Name, asked: Writing, body: Acting = _NOBODY_NAMED) -> Schedule:
    """Let a paused schedule go on with its next occurrence."""
    return schedule_of(asked.client.schedules.resume(name, actor=asked.caller.acts_as(body.actor)))


@router.get("/{name}/next")
def list_upcoming(
    name: Name,
    asked: Reading,
    count: Annotated[int, Query(ge=1, le=PAGE_LIMIT, description="How many.")] = 10,
) -> Upcoming:
    """List the next occurrences of a schedule."""
    return Upcoming(items=list(asked.client.schedules.next(name, count)))


@router.get("/{name}/occurrences")
def list_occurrences(name: Name, asked: Reading, limit: Limit = FIFTY, cursor: Cursor = None) -> Page[Occurrence]:
    """List what became of a schedule's occurrences in the last 90 days, the newest first."""
    place = parse_cursor("occurrences", cursor, datetime)
    before = None if place is None else place[0]
    found = asked.client.schedules.occurrences(name, limit=limit, before=before)
    return page_of(found, limit, occurrence_of, question="occurrences", place=lambda last: [last.occurs_at])


def _values(body: ScheduleTerms, caller: Caller) -> dict[str, Any]:
    """Return what is said of the schedule; whoever names an initiator of its runs names themselves, or is an admin."""
    values = body.values
    if body.initiator is not None:
        values["initiator"] = caller.acts_as(body.initiator, "initiator")
    return values

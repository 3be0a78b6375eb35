"""What is told of one run: steps, events, timeline, graph, and why it does not move."""

from fastapi import APIRouter

from workflow_engine.api.dependencies import Reading, ReadingEvents
from workflow_engine.api.pages import FIFTY, Cursor, Limit, Page, page_of, parse_cursor
from workflow_engine.api.routes.runs import RunId
from workflow_engine.api.schemas.events import Event, event_of
from workflow_engine.api.schemas.steps import (
    Explained,
    Graph,
    Step,
    TimelineStep,
    explained,
    graph_of,
    step_of,
    timeline_of,
)

router = APIRouter(prefix="/v1/runs/{run_id}", tags=["runs"])


@router.get("/steps")
def list_steps(run_id: RunId, asked: Reading, limit: Limit = FIFTY, cursor: Cursor = None) -> Page[Step]:
    """List a run's steps in topological order, with their results."""
    place = parse_cursor("steps", cursor, int)
    found = asked.client.details(run_id).steps(limit, after=-1 if place is None else place[0])
    return page_of(found, limit, step_of, question="steps", place=lambda last: [last.position])


@router.get("/events")
def list_run_events(run_id: RunId, asked: ReadingEvents, limit: Limit = FIFTY, cursor: Cursor = None) -> Page[Event]:
    """List a run's events, the oldest first. The log grows: `GET /v1/events/stream` tells of new ones."""
    place = parse_cursor("events", cursor, int)
    found = asked.client.details(run_id).events(limit, after=0 if place is None else place[0])
    return page_of(found, limit, event_of, question="events", place=lambda last: [last.position or 0])


@router.get("/timeline")
def show_timeline(run_id: RunId, asked: Reading, limit: Limit = FIFTY, cursor: Cursor = None) -> Page[TimelineStep]:
    """List when each step was tried, and how that ended: what a Gantt chart is drawn from."""
    place = parse_cursor("timeline", cursor, int)
    found = asked.client.details(run_id).timeline(limit, after=-1 if place is None else place[0])
    return page_of(found, limit, timeline_of, question="timeline", place=lambda last: [last.record.position])


@router.get("/graph")
def show_graph(run_id: RunId, asked: Reading) -> Graph:
    """Show a run's steps and which waits for which, each with its state."""
    return graph_of(asked.client.details(run_id).graph())


@router.get("/explain")
def explain_run(run_id: RunId, asked: Reading) -> Explained:
    """Say why a run does not move, or how it ended: for the run, and for each step that has not succeeded."""
    return explained(asked.client.explain(run_id))

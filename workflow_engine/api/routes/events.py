"""The event catalogue. Events of one run are in ``run_details.py``; the stream of all is in ``stream.py``."""

from typing import Annotated

from fastapi import APIRouter, Depends, Path

from workflow_engine.api.dependencies import EventsReader, no_unknown_parameters
from workflow_engine.api.pages import Page
from workflow_engine.api.refusals import NotThere
from workflow_engine.api.schemas.events import CataloguedEvent, catalogued
from workflow_engine.definitions.names import did_you_mean
from workflow_engine.model.events import CATALOGUE

router = APIRouter(prefix="/v1/events", tags=["events"], dependencies=[Depends(no_unknown_parameters)])


@router.get("/catalog")
async def list_catalogue(caller: EventsReader) -> Page[CataloguedEvent]:
    """List every event there is: when it fires, its fields, its schema. All of them fit on one page."""
    del caller
    return Page.model_construct(items=[catalogued(each) for each in CATALOGUE.values()], next=None)


@router.get("/catalog/{name}")
async def show_catalogued(
    name: Annotated[str, Path(description="The event's name.")], caller: EventsReader
) -> CataloguedEvent:
    """Show one event of the catalogue."""
    del caller
    if name not in CATALOGUE:
        raise NotThere(f"event {name[:100]!r} is not in the catalogue{did_you_mean(name[:100], CATALOGUE)}")
    return catalogued(CATALOGUE[name])

"""Events: as the log has them, and as the catalogue describes them."""

from datetime import datetime
from functools import cache
from typing import Any

from pydantic import BaseModel, Field

from workflow_engine.model.event_schemas import description_of, event_schema, fields_of
from workflow_engine.model.events import Payload
from workflow_engine.model.payload_fields import Privacy
from workflow_engine.model.records import EventRecord


class Event(BaseModel):
    """One fact."""

    position: int | None = Field(description="Its place in the event log, growing.")
    event_id: str = Field(description="The same wherever it is read: deduplicate by it.")
    causation_id: str | None = Field(description="The event of the same transaction that led to it.")
    name: str
    version: int = Field(description="Of the payload's schema.")
    occurred_at: datetime
    namespace: str
    workflow: str | None
    workflow_version: str | None
    run_id: str | None
    step: str | None
    attempt: int | None
    correlation_id: str | None
    traceparent: str | None
    data: dict[str, Any] = Field(description="The payload; `GET /v1/events/catalog` has its schema.")


class PayloadField(BaseModel):
    """A field of an event's payload."""

    name: str
    type: str = Field(description="In words.")
    privacy: Privacy
    description: str


class CataloguedEvent(BaseModel):
    """An event of the catalogue."""

    name: str
    version: int
    description: str = Field(description="When it is fired.")
    fired_by: list[str]
    frequency: str
    fields: list[PayloadField]
    example: dict[str, Any]
    schema_: dict[str, Any] = Field(alias="schema", description="JSON Schema of the whole event.")


def event_of(record: EventRecord) -> Event:
    """Return an event as it is shown."""
    values = {name: getattr(record, name) for name in Event.model_fields}
    return Event.model_construct(None, **(values | {"data": dict(record.data)}))


@cache
def catalogued(payload: type[Payload]) -> CataloguedEvent:
    """Return an event's class as it is shown, made once."""
    return CataloguedEvent(
        name=payload.event,
        version=payload.schema_version,
        description=description_of(payload),
        fired_by=payload.fired_by.split(", "),
        frequency=payload.frequency,
        fields=[
            PayloadField(name=each.name, type=each.type, privacy=each.privacy, description=each.description)
            for each in fields_of(payload)
        ],
        example=payload.example,
        schema=event_schema(payload.event),
    )

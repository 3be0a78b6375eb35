"""What event payloads are made of: their base, and fields with a privacy class each."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, ClassVar, Final

from pydantic import BaseModel, ConfigDict, Field

MESSAGE_LIMIT: Final = 2_000
"""Characters of an error message that an event keeps."""

PAYLOAD_LIMIT: Final = 65_536
"""Bytes of an event's payload as JSON."""


class Privacy(StrEnum):
    """Who may see a payload's field; each field has exactly one class."""

    PUBLIC = "public"
    """Names and numbers of the workflow's author; anybody who may see the run."""
    INTERNAL = "internal"
    """About the machinery: hosts, queues, error classes; operators."""
    PERSONAL = "personal"
    """May name or describe a person: free text and actors. The redaction hook sees these."""


Public: Final = Field(json_schema_extra={"x-privacy": Privacy.PUBLIC.value})
Internal: Final = Field(json_schema_extra={"x-privacy": Privacy.INTERNAL.value})
Personal: Final = Field(json_schema_extra={"x-privacy": Privacy.PERSONAL.value})

WorkflowName = Annotated[str, Public, Field(description="the workflow's name")]
WorkflowVersion = Annotated[str, Public, Field(description="the workflow's version")]
SubmittedAt = Annotated[datetime, Public, Field(description="when the run was stored")]
BeganAt = Annotated[datetime | None, Public, Field(description="when its first step was claimed; null if none was")]
RetriedAt = Annotated[
    datetime | None, Public, Field(description="when it was last retried after it had failed; null if it never was")
]
DispatchedAt = Annotated[datetime, Public, Field(description="when the attempt was handed to Celery")]
StartedAt = Annotated[datetime, Public, Field(description="when a worker claimed the attempt")]
ErrorClass = Annotated[str, Internal, Field(description="the exception's class")]
ErrorMessage = Annotated[
    str, Personal, Field(max_length=MESSAGE_LIMIT, description="the exception's text, cut to that length")
]
Reason = Annotated[str, Personal, Field(max_length=MESSAGE_LIMIT)]
WhyAsked = Annotated[str | None, Personal, Field(max_length=MESSAGE_LIMIT, description="why, as whoever asked said")]
Actor = Annotated[str | None, Personal, Field(description="who asked, as they said")]
SubscriberName = Annotated[str, Public, Field(description="the subscriber's name")]


RUN_TIMES: Final = {"submitted_at": "2026-01-31T12:00:00Z", "started_at": "2026-01-31T12:00:00.020000Z"}
RUN_END_TIMES: Final = {**RUN_TIMES, "retried_at": None}
STEP_TIMES: Final = {"dispatched_at": "2026-01-31T12:00:01Z", "started_at": "2026-01-31T12:00:01.004000Z"}
"""What examples say of times."""


class Payload(BaseModel):
    """Base of every payload; a subclass is one event of the catalogue."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    event: ClassVar[str]
    """The event's name, ``<entity>.<what happened>``."""
    schema_version: ClassVar[int] = 1
    fired_by: ClassVar[str]
    """The command or service that makes it true."""
    frequency: ClassVar[str]
    example: ClassVar[dict[str, Any]]


def privacy_of(payload: type[Payload]) -> dict[str, Privacy]:
    """Return the privacy class of each field of a payload.

    Raises:
        KeyError: a field has none.
    """
    schema = payload.model_json_schema()["properties"]
    return {name: Privacy(field["x-privacy"]) for name, field in schema.items()}

"""The event catalogue as JSON Schema and AsyncAPI, for programs that cannot import it.

Everything here is derived: payloads from ``CATALOGUE``, the envelope from ``EventRecord``. Objects are left open on
purpose: a payload may gain an optional field without a new version, so readers ignore the fields they do not know.
"""

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from typing import Any, Final, get_type_hints

from pydantic import TypeAdapter

from workflow_engine.definitions.names import did_you_mean
from workflow_engine.errors import EventRefused
from workflow_engine.ids import RunId
from workflow_engine.model.codec import event_as_values
from workflow_engine.model.event_ids import event_id
from workflow_engine.model.events import CATALOGUE, Payload, Privacy
from workflow_engine.model.records import EventRecord
from workflow_engine.model.trace_ids import event_traceparent

DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"
_ASYNCAPI_VERSION: Final = "3.0.0"
_ENVELOPE_VERSION: Final = "1.0.0"
_EXAMPLE_RUN: Final = RunId("019b0c1e-0c00-7000-8000-000000000001")
_EXAMPLE_MOMENT: Final = datetime(2026, 1, 31, 12, 0, 2, tzinfo=UTC)

ENVELOPE: Final[Mapping[str, Mapping[str, str]]] = {
    "position": {"description": "its place in the event log, growing; null for inline subscribers"},
    "event_id": {
        "format": "uuid",
        "description": "UUIDv7; the same wherever and however often the event is delivered: deduplicate by it",
    },
    "causation_id": {
        "format": "uuid",
        "description": "the event of the same transaction that led to this one; null for the first",
    },
    "name": {"description": "the event's name in the catalogue"},
    "version": {"description": "of the payload's schema"},
    "occurred_at": {"description": "when it became true"},
    "namespace": {"description": "the tenant"},
    "workflow": {"description": "the workflow's name; null, like the next two, if the event is not about a run"},
    "workflow_version": {"description": "the workflow's version"},
    "run_id": {"format": "uuid", "description": "the run"},
    "step": {"description": "the step's name, if the event is about one"},
    "attempt": {"description": "the attempt's number, from 1, if the event is about one"},
    "correlation_id": {"description": "what the submitter gave to find the run again in other systems"},
    "traceparent": {"description": "W3C trace context: the run's trace, and the span of what the event is about"},
    "data": {"description": "the payload"},
}
"""What JSON Schema says of the envelope's fields beside their types."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EnvelopeFact:
    """What a person wants to know of a field of every event."""

    name: str
    type: str
    """In words."""
    description: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldFact(EnvelopeFact):
    """What a person wants to know of a payload's field."""

    privacy: Privacy


def payload_class(name: str) -> type[Payload]:
    """Return an event's class.

    Raises:
        EventRefused: the catalogue does not have it; the message names the closest that it has.
    """
    found = CATALOGUE.get(name)
    if found is None:
        raise EventRefused(name, "is not in the catalogue" + did_you_mean(name, CATALOGUE))
    return found


def description_of(payload: type[Payload]) -> str:
    """Return when an event is fired, as one line."""
    return " ".join(inspect.cleandoc(payload.__doc__ or "").split()).replace("``", "`")


def fields_of(payload: type[Payload]) -> Sequence[FieldFact]:
    """Return a payload's fields, in words."""
    required = payload_schema(payload).get("required", [])
    return [
        FieldFact(
            name=name,
            type=_in_words(field) + ("" if name in required else ", may be absent"),
            privacy=Privacy(field["x-privacy"]),
            description=field.get("description", ""),
        )
        for name, field in payload_schema(payload)["properties"].items()
    ]


def envelope_fields() -> Sequence[EnvelopeFact]:
    """Return the envelope's fields, in words."""
    return [
        EnvelopeFact(name=name, type=_in_words(field), description=field["description"])
        for name, field in envelope_schema()["properties"].items()
    ]


def payload_schema(payload: type[Payload]) -> dict[str, Any]:
    """Return the JSON Schema of an event's ``data``."""
    schema = payload.model_json_schema()
    schema.pop("additionalProperties", None)
    return schema | {
        "title": payload.event,
        "description": description_of(payload),
        "properties": {name: _untitled(field) for name, field in schema["properties"].items()},
    }


def envelope_schema() -> dict[str, Any]:
    """Return the JSON Schema that every event fits, whatever its payload."""
    hints = get_type_hints(EventRecord)
    names = [field.name for field in fields(EventRecord)]
    return {
        "title": "event",
        "description": "What every event says beside its payload.",
        "type": "object",
        "properties": {name: _with_facts(_schema_of(hints[name]), ENVELOPE[name]) for name in names},
        "required": names,
    }


def event_schema(name: str) -> dict[str, Any]:
    """Return the JSON Schema of one event: its envelope and its payload.

    Raises:
        EventRefused: the catalogue does not have it.
    """
    payload = payload_class(name)
    envelope = envelope_schema()
    own = _own_properties(payload, payload_schema(payload))
    return {
        "$schema": DIALECT,
        "$id": f"urn:workflow-engine:event:{name}:{payload.schema_version}",
        **envelope,
        "title": name,
        "description": description_of(payload),
        "properties": {
            field: {**schema, **own[field]} if field in ("name", "version") else own.get(field, schema)
            for field, schema in envelope["properties"].items()
        },
    }


def catalogue_schema() -> dict[str, Any]:
    """Return the JSON Schema that an object fits if and only if it is an event of the catalogue."""
    return {
        "$schema": DIALECT,
        "$id": "urn:workflow-engine:events",
        "title": "Workflow Engine events",
        "$comment": "Written by docs/generate.py from workflow_engine/model/events.py",
        "oneOf": [{"$ref": f"#/$defs/{name}"} for name in CATALOGUE],
        "$defs": {
            "envelope": envelope_schema(),
            **{
                name: _composed(payload, "#/$defs/envelope", payload_schema(payload))
                for name, payload in CATALOGUE.items()
            },
        },
    }


def asyncapi() -> dict[str, Any]:
    """Return the catalogue as an AsyncAPI 3.0 document: a channel for each entity, a message for each event."""
    entities = list(dict.fromkeys(entity_of(name) for name in CATALOGUE))
    return {
        "asyncapi": _ASYNCAPI_VERSION,
        "info": {
            "title": "Workflow Engine events",
            "version": _ENVELOPE_VERSION,
            "description": (
                "Facts about runs, steps and subscribers, as durable subscribers, webhooks, streams and `wfe events` "
                "hand them over: at least once, in order per run. Deduplicate by `event_id`. The version of this "
                "document is the envelope's; each event has its own in `version`. "
                "Written by docs/generate.py from workflow_engine/model/events.py."
            ),
        },
        "defaultContentType": "application/json",
        "channels": {entity: _channel(entity) for entity in entities},
        "operations": {f"send_{entity}_events": _operation(entity) for entity in entities},
        "components": {
            "messages": {name: _message(payload) for name, payload in CATALOGUE.items()},
            "schemas": {
                "envelope": envelope_schema(),
                **{name: payload_schema(payload) for name, payload in CATALOGUE.items()},
            },
        },
    }


def example_event(name: str) -> EventRecord:
    """Return an event as a subscriber may get it, with the catalogue's example as its payload.

    Raises:
        EventRefused: the catalogue does not have it.
    """
    payload = payload_class(name)
    about_run = entity_of(name) != "subscriber"
    run_id = _EXAMPLE_RUN if about_run else None
    step, attempt = ("charge", 1) if entity_of(name) == "step" else (None, None)
    return EventRecord(
        position=4711,
        event_id=event_id(name, run_id, step, attempt, _EXAMPLE_MOMENT),
        causation_id=None,
        name=name,
        version=payload.schema_version,
        occurred_at=_EXAMPLE_MOMENT,
        namespace="default",
        workflow="order_fulfilment" if about_run else None,
        workflow_version="1" if about_run else None,
        run_id=run_id,
        step=step,
        attempt=attempt,
        correlation_id="order-17" if about_run else None,
        traceparent=event_traceparent(run_id, None, step, attempt) if run_id else None,
        data=payload.example,
    )


def entity_of(name: str) -> str:
    """Return what an event is about: the part of its name before the dot."""
    return name.partition(".")[0]


def _channel(entity: str) -> dict[str, Any]:
    names = [name for name in CATALOGUE if entity_of(name) == entity]
    return {
        "address": None,
        "description": f"Events of the entity `{entity}`; whoever subscribes decides where they go.",
        "messages": {name: {"$ref": f"#/components/messages/{name}"} for name in names},
    }


def _operation(entity: str) -> dict[str, Any]:
    return {
        "action": "send",
        "summary": f"Tell subscribers what became of a {entity}.",
        "channel": {"$ref": f"#/channels/{entity}"},
    }


def _message(payload: type[Payload]) -> dict[str, Any]:
    return {
        "name": payload.event,
        "title": payload.event,
        "summary": description_of(payload),
        "tags": [{"name": entity_of(payload.event)}],
        "correlationId": {"location": "$message.payload#/correlation_id"},
        "payload": _composed(
            payload, "#/components/schemas/envelope", {"$ref": f"#/components/schemas/{payload.event}"}
        ),
        "examples": [{"payload": event_as_values(example_event(payload.event))}],
        "x-version": payload.schema_version,
        "x-fired-by": payload.fired_by.split(", "),
        "x-frequency": payload.frequency,
    }


def _composed(payload: type[Payload], envelope: str, data: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "title": payload.event,
        "description": description_of(payload),
        "type": "object",
        "allOf": [{"$ref": envelope}],
        "properties": _own_properties(payload, data),
    }


def _own_properties(payload: type[Payload], data: Mapping[str, Any]) -> dict[str, Any]:
    return {"name": {"const": payload.event}, "version": {"const": payload.schema_version}, "data": dict(data)}


def _schema_of(annotation: Any) -> dict[str, Any]:
    schema: dict[str, Any] = TypeAdapter(annotation).json_schema()
    schema.pop("additionalProperties", None)
    return schema


def _with_facts(schema: dict[str, Any], facts: Mapping[str, str]) -> dict[str, Any]:
    """Return a field's schema with its description, and its format where the string is."""
    format_ = {"format": facts["format"]} if "format" in facts else {}
    if "anyOf" in schema:
        choices = [each | format_ if each.get("type") == "string" else each for each in schema["anyOf"]]
        return {"anyOf": choices, "description": facts["description"]}
    return schema | format_ | {"description": facts["description"]}


def _untitled(field: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in field.items() if key != "title"}


def _in_words(field: Mapping[str, Any]) -> str:
    if "anyOf" in field:
        return ", or ".join(_in_words(each) for each in field["anyOf"])
    if field["type"] == "array":
        return f"list of {_in_words(field['items'])}s"
    words = {"integer": "whole number", "string": "text", "object": "object", "null": "null", "number": "number"}
    named = str(field["type"])
    kind = {"date-time": "time", "uuid": "UUID"}.get(field.get("format", ""), words.get(named, named))
    return kind + (f", at most {field['maxLength']:,} characters" if "maxLength" in field else "")

"""An event to JSON text and back. Payloads of old versions are lifted to the newest on the way back.

The catalogue knows only the newest version of each payload; the event log keeps what was written, for as long as it
keeps events. An upcaster turns a payload of one version into one of the next; they are applied one after another.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import fields, replace
from datetime import UTC
from typing import Any, Final

from pydantic import TypeAdapter, ValidationError

from workflow_engine.definitions.names import did_you_mean
from workflow_engine.errors import EventRefused
from workflow_engine.model.events import CATALOGUE, parse_payload
from workflow_engine.model.records import EventRecord

Upcaster = Callable[[Mapping[str, Any]], Mapping[str, Any]]

UPCASTERS: Final[Mapping[tuple[str, int], Upcaster]] = {
    ("run.failed", 1): lambda data: data,  # its step may be null since 2: until then every failure was a step's
}
"""By event and version: what makes a payload of that version one of the next."""

_ENVELOPE: Final = TypeAdapter(EventRecord)
_UNREAD: Final = "(as JSON)"
"""Stands for the name of an event that could not be read."""


def event_as_values(event: EventRecord) -> dict[str, Any]:
    """Return an event as JSON values; its time as ISO 8601 in UTC."""
    values = {field.name: getattr(event, field.name) for field in fields(event)}
    moment = event.occurred_at.astimezone(UTC).isoformat()
    return values | {"occurred_at": moment.replace("+00:00", "Z"), "data": dict(event.data)}


def event_to_json(event: EventRecord) -> str:
    """Return an event as JSON text on one line."""
    return json.dumps(event_as_values(event), ensure_ascii=False, separators=(",", ":"))


def event_from_json(text: str | bytes, upcasters: Mapping[tuple[str, int], Upcaster] = UPCASTERS) -> EventRecord:
    """Return the event that JSON text tells of, its payload checked and in the newest version.

    Fields that this program does not know are ignored: a newer one of the same version may write them.

    Raises:
        EventRefused: it is no event of the catalogue, newer than this program, or a field is missing or mistyped.
    """
    try:
        event = _ENVELOPE.validate_json(text, strict=True)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = "".join(f"{part}: " for part in first["loc"])
        raise EventRefused(_UNREAD, f"cannot be read: {where}{first['msg']}") from None
    return lift(event, upcasters)


def lift(event: EventRecord, upcasters: Mapping[tuple[str, int], Upcaster] = UPCASTERS) -> EventRecord:
    """Return an event with its payload checked and in the newest version.

    Raises:
        EventRefused: the catalogue does not have the event, its version is newer than this program or too old for its
            upcasters, or the payload breaks its schema.
    """
    model = CATALOGUE.get(event.name)
    if model is None:
        raise EventRefused(event.name, "is not in the catalogue" + did_you_mean(event.name, CATALOGUE))
    newest = model.schema_version
    if event.version > newest:
        raise EventRefused(
            event.name, f"has version {event.version}, and this program knows none after {newest}: upgrade it"
        )
    event = upcast(event, upcasters)
    known = {name: value for name, value in event.data.items() if name in model.model_fields}
    parse_payload(event.name, known)
    return replace(event, data=known)


def upcast(event: EventRecord, upcasters: Mapping[tuple[str, int], Upcaster] = UPCASTERS) -> EventRecord:
    """Return an event with its payload in the newest version that this program knows; unchecked, as the log wrote it.

    Raises:
        EventRefused: a version is too old for the upcasters.
    """
    model = CATALOGUE.get(event.name)
    if model is None or event.version >= model.schema_version:
        return event
    data = event.data
    for version in range(event.version, model.schema_version):
        upcaster = upcasters.get((event.name, version))
        if upcaster is None:
            raise EventRefused(event.name, f"has no upcaster from version {version}")
        data = upcaster(data)
    return replace(event, version=model.schema_version, data=data)

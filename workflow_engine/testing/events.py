"""an_event: an event as a subscriber gets it, made from the catalogue's example."""

from collections.abc import Mapping
from dataclasses import fields as fields_of
from datetime import UTC, datetime
from typing import Any, Final
from uuid import UUID

from pydantic import ValidationError

from workflow_engine.definitions.names import did_you_mean
from workflow_engine.errors import EventRefused
from workflow_engine.ids import RunId
from workflow_engine.model.event_ids import event_id
from workflow_engine.model.events import CATALOGUE, Payload
from workflow_engine.model.records import EventRecord
from workflow_engine.model.schedule_events import ScheduleFired
from workflow_engine.model.trace_ids import event_traceparent

_WORKFLOW: Final = {
    "workflow": "order_fulfilment",
    "workflow_version": "1",
    "run_id": RunId("019b0c1e-0000-7000-8000-000000000001"),
}
_NO_WORKFLOW: Final = dict.fromkeys(_WORKFLOW)
_STEP: Final = {"step": "charge", "attempt": 1}
_NO_STEP: Final = dict.fromkeys(_STEP)
_ENVELOPE: Final = frozenset(each.name for each in fields_of(EventRecord)) - {"name", "version", "data"}


def an_event(name: str, **fields: Any) -> EventRecord:
    """Return an event of the catalogue, to call a subscriber with in a test.

    It is the catalogue's example, about the first attempt of step ``charge`` (where it is about a step) in a run of
    workflow ``order_fulfilment``. ``fields`` differ from that: of the payload where it has a field of that name, else
    of the envelope; ``workflow`` is set in both. The same call makes the same event, with the same id::

        an_event("run.failed", workflow="orders", step="pay", message="card declined")

    Raises:
        EventRefused: the catalogue does not have the event, or it has no such field or not of that type.
    """
    payload = CATALOGUE.get(name)
    if payload is None:
        raise EventRefused(name, f"is not in the catalogue{did_you_mean(name, CATALOGUE)}")
    unknown = fields.keys() - payload.model_fields.keys() - _ENVELOPE
    if unknown:
        field = min(unknown)
        raise EventRefused(name, f"has no field {field!r}{did_you_mean(field, {*payload.model_fields, *_ENVELOPE})}")
    own = {key: value for key, value in fields.items() if key in payload.model_fields}
    data = _data(payload, own)
    said_twice = {"workflow": data.get("workflow"), "workflow_version": data.get("version")}
    envelope = {key: value for key, value in said_twice.items() if value is not None and _is_about_a_run(payload)}
    envelope |= {key: value for key, value in fields.items() if key not in own}
    try:
        return _record(payload, data, envelope)
    except (TypeError, ValueError) as error:  # a run's id that is no UUID, a time without time zone
        raise EventRefused(name, f"cannot have this envelope: {error}") from error


def _data(payload: type[Payload], own: Mapping[str, Any]) -> dict[str, Any]:
    try:
        return payload.model_validate({**payload.example, **own}).model_dump(mode="json")
    except ValidationError as error:
        raise EventRefused(payload.event, f"its payload breaks its schema: {error}") from None


def _record(payload: type[Payload], data: dict[str, Any], own: Mapping[str, Any]) -> EventRecord:
    about = {
        "position": 1,
        "causation_id": None,
        "occurred_at": datetime(2026, 1, 31, 12, 0, 2, tzinfo=UTC),
        "namespace": "default",
        **(_WORKFLOW if _is_about_a_run(payload) else _NO_WORKFLOW),
        **(_STEP if payload.event.startswith("step.") else _NO_STEP),
        **own,
    }
    run_id, step, attempt = about["run_id"], about["step"], about["attempt"]
    if run_id is not None:
        UUID(run_id)  # raises ValueError
    about.setdefault("correlation_id", run_id)
    about.setdefault("event_id", event_id(payload.event, run_id, step, attempt, about["occurred_at"]))
    about.setdefault("traceparent", event_traceparent(run_id, None, step, attempt) if run_id else None)
    return EventRecord(name=payload.event, version=payload.schema_version, data=data, **about)


def _is_about_a_run(payload: type[Payload]) -> bool:
    return payload.event.startswith(("run.", "step.")) or payload is ScheduleFired

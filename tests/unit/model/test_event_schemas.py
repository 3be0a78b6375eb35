"""The published schemas: real JSON Schema and AsyncAPI, fitted by real events, open to fields of later programs."""

import json
from collections.abc import Iterator
from dataclasses import fields
from typing import Any

import pytest
from jsonschema import Draft7Validator, Draft202012Validator, ValidationError

from workflow_engine.errors import EventRefused
from workflow_engine.model.codec import event_as_values
from workflow_engine.model.event_schemas import (
    ENVELOPE,
    asyncapi,
    catalogue_schema,
    entity_of,
    envelope_schema,
    event_schema,
    example_event,
    fields_of,
    payload_class,
    payload_schema,
)
from workflow_engine.model.events import CATALOGUE, MESSAGE_LIMIT, Privacy
from workflow_engine.model.records import EventRecord

ENVELOPE_OF_D1B = {
    *("event_id", "name", "version", "occurred_at", "namespace", "run_id", "step", "attempt"),
    *("correlation_id", "causation_id", "traceparent", "data"),
}


def check(schema: dict[str, Any], value: Any) -> None:
    Draft202012Validator(schema, format_checker=Draft202012Validator.FORMAT_CHECKER).validate(value)


def references(value: Any) -> Iterator[str]:
    """Yield every ``$ref`` of a document."""
    if isinstance(value, dict):
        if isinstance(value.get("$ref"), str):
            yield value["$ref"]
        for each in value.values():
            yield from references(each)
    elif isinstance(value, list):
        for each in value:
            yield from references(each)


def resolved(document: Any, reference: str) -> Any:
    found = document
    for part in reference.removeprefix("#/").split("/"):
        found = found[part]
    return found


def test_the_envelope_is_the_record_every_subscriber_gets() -> None:
    names = [field.name for field in fields(EventRecord)]

    assert list(envelope_schema()["properties"]) == names
    assert list(ENVELOPE) == names
    assert set(names) >= ENVELOPE_OF_D1B
    assert all(field["description"] for field in envelope_schema()["properties"].values())


@pytest.mark.parametrize("name", CATALOGUE)
def test_an_event_fits_its_schema_and_no_other(name: str) -> None:
    schema, event = event_schema(name), event_as_values(example_event(name))

    Draft202012Validator.check_schema(schema)
    check(schema, event)
    check(catalogue_schema(), event)
    for other in CATALOGUE.keys() - {name}:
        with pytest.raises(ValidationError):
            check(event_schema(other), event)


@pytest.mark.parametrize("name", CATALOGUE)
def test_a_schema_refuses_what_lacks_a_field_and_lets_pass_what_has_a_new_one(name: str) -> None:
    schema, event = event_schema(name), event_as_values(example_event(name))
    required = payload_schema(CATALOGUE[name])["required"]

    check(schema, event | {"new": 1, "data": event["data"] | {"new": 1}})
    for field in required:
        with pytest.raises(ValidationError):
            check(schema, event | {"data": {key: value for key, value in event["data"].items() if key != field}})
    for field in event:
        with pytest.raises(ValidationError):
            check(schema, {key: value for key, value in event.items() if key != field})


@pytest.mark.parametrize("name", CATALOGUE)
def test_every_field_of_a_schema_says_its_privacy_and_meaning(name: str) -> None:
    properties = payload_schema(CATALOGUE[name])["properties"]

    assert all(field["x-privacy"] in set(Privacy) and field["description"] for field in properties.values())


def test_an_asyncapi_document_has_every_event_once() -> None:
    document = asyncapi()
    listed = [name for channel in document["channels"].values() for name in channel["messages"]]

    assert document["asyncapi"] == "3.0.0"
    assert sorted(listed) == sorted(CATALOGUE)
    assert set(document["channels"]) == {entity_of(name) for name in CATALOGUE}
    assert all(operation["action"] == "send" for operation in document["operations"].values())
    assert set(document["components"]["messages"]) == set(CATALOGUE)


@pytest.mark.parametrize("document", [asyncapi(), catalogue_schema()], ids=["asyncapi", "schema"])
def test_every_reference_of_a_document_leads_somewhere(document: dict[str, Any]) -> None:
    found = list(references(document))

    assert found
    for reference in found:
        assert resolved(document, reference)


@pytest.mark.parametrize("name", CATALOGUE)
def test_the_example_of_an_asyncapi_message_fits_its_payload(name: str) -> None:
    document = asyncapi()
    message = document["components"]["messages"][name]
    (example,) = message["examples"]

    Draft7Validator({**message["payload"], "components": document["components"]}).validate(example["payload"])
    assert message["x-fired-by"] == CATALOGUE[name].fired_by.split(", ")


def test_documents_are_json_and_the_same_every_time() -> None:
    assert json.dumps(asyncapi()) == json.dumps(asyncapi())
    assert json.dumps(catalogue_schema()) == json.dumps(catalogue_schema())


def test_a_field_is_told_in_words() -> None:
    told = {field.name: field.type for field in fields_of(CATALOGUE["run.failed"])}

    assert told["step"] == "text, or null"
    assert told["error_class"] == "text"
    assert told["message"] == f"text, at most {MESSAGE_LIMIT:,} characters"
    assert told["submitted_at"] == "time"
    assert told["started_at"] == "time, or null"
    listed = {field.name: field.type for field in fields_of(CATALOGUE["run.rescheduled"])}
    assert listed["remind_before_seconds"] == "list of numbers"
    absent = {field.name: field.type for field in fields_of(CATALOGUE["step.dispatched"])}
    assert absent["ready_at"] == "time, or null, may be absent"


def test_an_unknown_event_has_no_schema_and_the_closest_is_named() -> None:
    with pytest.raises(EventRefused, match=r"did you mean 'step\.completed'"):
        payload_class("step.complete")
    with pytest.raises(EventRefused):
        event_schema("nothing")

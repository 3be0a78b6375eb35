"""An event survives JSON, and payloads of old versions come back in the newest."""

import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from typing import Annotated, Any, ClassVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workflow_engine.errors import EventRefused
from workflow_engine.model.codec import event_as_values, event_from_json, event_to_json, lift
from workflow_engine.model.event_schemas import example_event
from workflow_engine.model.events import CATALOGUE, Payload, Public

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=50)


class Paid(Payload):
    """A bill was paid: in euros at first, then in cents, then with a currency."""

    event = "bill.paid"
    schema_version = 3
    fired_by = "PayBill"
    frequency = "once a bill"
    example: ClassVar = {"cents": 150, "currency": "EUR"}

    cents: Annotated[int, Public]
    currency: Annotated[str, Public]


def in_cents(data: Mapping[str, Any]) -> Mapping[str, Any]:
    return {"cents": round(data["euros"] * 100)}


def with_currency(data: Mapping[str, Any]) -> Mapping[str, Any]:
    return {**data, "currency": "EUR"}


BILLS = {("bill.paid", 1): in_cents, ("bill.paid", 2): with_currency}


@pytest.fixture(autouse=True)
def bills(monkeypatch: pytest.MonkeyPatch) -> None:
    """Bills are in the catalogue, for the length of a test."""
    monkeypatch.setitem(CATALOGUE, "bill.paid", Paid)


def changed(**values: Any) -> str:
    """Return the JSON of an event with other values in its envelope."""
    return json.dumps(event_as_values(example_event("run.failed")) | values)


@pytest.mark.parametrize("name", [name for name in CATALOGUE if name != "bill.paid"])
def test_every_event_comes_back_as_it_was(name: str) -> None:
    event = example_event(name)

    text = event_to_json(event)

    assert "\n" not in text
    assert event_from_json(text) == event
    assert event_from_json(text.encode()) == event


@given(
    message=TEXT,
    step=TEXT,
    position=st.none() | st.integers(0, 2**63 - 1),
    moment=st.datetimes(datetime(2000, 1, 1), datetime(2100, 1, 1)),  # noqa: DTZ001  made aware below
)
def test_any_text_and_time_comes_back(message: str, step: str, position: int | None, moment: datetime) -> None:
    example = example_event("run.failed")
    data = {**example.data, "message": message, "step": step}
    event = replace(example, data=data, position=position, occurred_at=moment.replace(tzinfo=UTC))

    assert event_from_json(event_to_json(event)) == event


def test_a_time_is_written_in_utc() -> None:
    east = timezone(timedelta(hours=2))
    event = replace(example_event("run.failed"), occurred_at=datetime(2026, 1, 31, 14, 0, 0, 5, tzinfo=east))

    assert json.loads(event_to_json(event))["occurred_at"] == "2026-01-31T12:00:00.000005Z"
    assert event_from_json(event_to_json(event)) == event


@pytest.mark.parametrize(
    ("version", "data"),
    [(1, {"euros": 1.5}), (2, {"cents": 150}), (3, {"cents": 150, "currency": "EUR"})],
)
def test_an_old_version_is_lifted_to_the_newest(version: int, data: Mapping[str, Any]) -> None:
    text = changed(name="bill.paid", version=version, data=data)

    event = event_from_json(text, BILLS)

    assert (event.version, event.data) == (3, {"cents": 150, "currency": "EUR"})
    assert event.payload == Paid(cents=150, currency="EUR")


def test_lifting_changes_nothing_but_the_payload_and_its_version() -> None:
    old = replace(example_event("run.failed"), name="bill.paid", version=2, data={"cents": 1})

    new = lift(old, BILLS)

    assert replace(new, version=2, data=old.data) == old
    assert old.data == {"cents": 1}


def test_a_version_without_an_upcaster_is_refused() -> None:
    with pytest.raises(EventRefused, match=r"'bill\.paid' has no upcaster from version 1"):
        event_from_json(changed(name="bill.paid", version=1, data={"euros": 1}))


def test_what_an_upcaster_makes_must_fit_the_newest_schema() -> None:
    with pytest.raises(EventRefused, match="currency"):
        event_from_json(changed(name="bill.paid", version=2, data={"cents": 1}), {("bill.paid", 2): dict})


def test_a_version_newer_than_this_program_is_refused() -> None:
    with pytest.raises(EventRefused, match="has version 3, and this program knows none after 2: upgrade it"):
        event_from_json(changed(version=3))


def test_fields_that_this_program_does_not_know_are_ignored() -> None:
    example = example_event("run.failed")

    assert event_from_json(changed(colour="red", data={**example.data, "colour": "red"})) == example


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "cannot be read: Invalid JSON"),
        ("[]", "cannot be read: Input should be an object"),
        ("{}", "cannot be read: position: Field required"),
        (changed(occurred_at="yesterday"), "cannot be read: occurred_at: "),
        (changed(version="1"), "cannot be read: version: "),
        (changed(data=[]), "cannot be read: data: "),
        (changed(name="run.fail"), r"'run\.fail' is not in the catalogue \(did you mean 'run\.failed'"),
        (changed(data={}), r"'run\.failed' its payload breaks its schema"),
    ],
    ids=["empty", "list", "object", "time", "version", "data", "name", "payload"],
)
def test_what_is_no_event_is_refused_with_a_reason(text: str, problem: str) -> None:
    with pytest.raises(EventRefused, match=problem):
        event_from_json(text)

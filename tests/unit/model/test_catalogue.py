"""Every event of the catalogue describes itself, and keeps what its released versions promised."""

import importlib.util
import json
import re
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Annotated, Any, ClassVar, get_args

import pytest
from pydantic import Field

from workflow_engine.model import commands
from workflow_engine.model.codec import UPCASTERS
from workflow_engine.model.event_schemas import description_of
from workflow_engine.model.events import CATALOGUE, Internal, Payload, Personal, Privacy, Public, privacy_of
from workflow_engine.relay.commands import DiscardDeliveries, ForgetSubscriber, ReplaySubscriber, RequeueDeliveries
from workflow_engine.relay.relay import Relay

DOCS = Path(__file__).parents[3] / "docs"
COMMANDS = {command.__name__ for command in get_args(commands.Command)}
SERVICES = {each.__name__ for each in (Relay, RequeueDeliveries, DiscardDeliveries, ForgetSubscriber, ReplaySubscriber)}
"""Those who fire what is about delivery, not about runs."""
NAME = re.compile(r"(run|step|timer|schedule|signal|subscriber)\.[a-z]+(_[a-z]+)*")
IRREGULAR = {"lost"}
UNFINISHED = {"run.cancelling", "run.due_soon", "run.overdue", "run.stale", "step.retrying"}
"""Not past participles: what they tell of has begun, and another event tells how it ended."""


def _load(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, DOCS / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


release_events = _load("release_events")
each_event = pytest.mark.parametrize("payload", CATALOGUE.values(), ids=list(CATALOGUE))


@each_event
def test_an_event_has_a_name_a_description_a_version_and_a_frequency(payload: type[Payload]) -> None:
    assert CATALOGUE[payload.event] is payload
    assert description_of(payload).endswith(".")
    assert payload.schema_version >= 1
    assert payload.frequency


@each_event
def test_an_event_is_named_for_an_entity_and_what_happened_to_it(payload: type[Payload]) -> None:
    happened = payload.event.partition(".")[2].rpartition("_")[2]

    assert NAME.fullmatch(payload.event)
    assert happened.endswith("ed") or happened in IRREGULAR or payload.event in UNFINISHED


@each_event
def test_a_class_is_named_like_its_event(payload: type[Payload]) -> None:
    words = payload.event.replace(".", "_").split("_")

    assert payload.__name__ == "".join(word.capitalize() for word in words)


@each_event
def test_an_event_is_fired_by_commands_and_services_that_exist(payload: type[Payload]) -> None:
    fired_by = payload.fired_by.split(", ")

    assert fired_by
    assert set(fired_by) <= COMMANDS | SERVICES
    assert len(fired_by) == len(set(fired_by))


@each_event
def test_the_example_of_an_event_fits_and_shows_every_field(payload: type[Payload]) -> None:
    parsed = payload.model_validate_json(json.dumps(payload.example))

    assert parsed.model_dump(mode="json") == payload.example
    assert set(payload.example) == set(payload.model_fields)


@each_event
def test_every_field_is_described_and_has_exactly_one_privacy_class(payload: type[Payload]) -> None:
    assert [name for name, field in payload.model_fields.items() if not field.description] == []
    assert privacy_of(payload).keys() == payload.model_fields.keys()
    assert all(isinstance(privacy, Privacy) for privacy in privacy_of(payload).values())


@each_event
def test_free_text_is_personal_and_bounded(payload: type[Payload]) -> None:
    privacy = privacy_of(payload)
    for name in {"message", "actor", "initiator", "reason"} & payload.model_fields.keys():
        expected = Privacy.INTERNAL if payload.event == "step.lost" else Privacy.PERSONAL
        assert privacy[name] is expected


def test_every_subclass_of_payload_is_in_the_catalogue() -> None:
    ours = {each for each in Payload.__subclasses__() if each.__module__.startswith("workflow_engine.model.")}

    assert ours == set(CATALOGUE.values())


def test_the_catalogue_keeps_what_was_released() -> None:
    released = release_events.read()

    assert list(release_events.problems(released, CATALOGUE, UPCASTERS)) == []


def test_every_version_is_frozen() -> None:
    assert list(release_events.unfrozen(release_events.read(), CATALOGUE)) == []


class Paid(Payload):
    """A bill was paid."""

    event = "bill.paid"
    fired_by = "PayBill"
    frequency = "once a bill"
    example: ClassVar = {"amount": 1, "by": "ada"}

    amount: Annotated[int, Public, Field(description="cents")]
    by: Annotated[str, Personal, Field(description="who")]
    note: Annotated[str | None, Personal, Field(description="why")] = None


RELEASED = release_events.freeze({}, {"bill.paid": Paid})


class _Bill(Payload):
    event = "bill.paid"
    fired_by = "PayBill"
    frequency = "once a bill"
    example: ClassVar = {}


class WithAnOptionalField(_Bill):
    """Another sentence."""

    amount: Annotated[int, Public, Field(description="in cents")]
    by: Annotated[str, Personal, Field(description="whoever paid")]
    note: Annotated[str | None, Personal] = None
    currency: Annotated[str, Public] = "EUR"


class WithoutAField(_Bill):
    amount: Annotated[int, Public]
    note: Annotated[str | None, Personal] = None


class Retyped(_Bill):
    amount: Annotated[str, Public]
    by: Annotated[str, Personal]
    note: Annotated[str | None, Personal] = None


class NewlyRequired(_Bill):
    amount: Annotated[int, Public]
    by: Annotated[str, Personal]
    note: Annotated[str | None, Personal] = None
    currency: Annotated[str, Public]


class LessPrivate(_Bill):
    amount: Annotated[int, Public]
    by: Annotated[str, Internal]
    note: Annotated[str | None, Personal] = None


class NowAbsent(_Bill):
    amount: Annotated[int, Public] = 0
    by: Annotated[str, Personal]
    note: Annotated[str | None, Personal] = None


def problems(payload: type[Payload], version: int = 1, upcasters: Mapping[Any, Any] = UPCASTERS) -> list[str]:
    versioned = type(payload.__name__, (payload,), {"schema_version": version, "__module__": __name__})
    return list(release_events.problems(RELEASED, {"bill.paid": versioned}, upcasters))


def test_an_optional_field_and_other_words_need_no_new_version() -> None:
    assert problems(WithAnOptionalField) == []


@pytest.mark.parametrize(
    ("payload", "change"),
    [
        (WithoutAField, "its field 'by' was removed"),
        (Retyped, "its field 'amount' has another type"),
        (NewlyRequired, "its field 'currency' is newly required"),
        (LessPrivate, "its field 'by' is internal, no longer personal"),
        (NowAbsent, "its field 'amount' may now be absent"),
    ],
)
def test_a_change_that_readers_notice_needs_a_new_version_and_an_upcaster(payload: type[Payload], change: str) -> None:
    (problem,) = problems(payload)

    assert problem.startswith(f"bill.paid version 1 is released, and {change}: ")
    assert "set schema_version = 2" in problem
    assert problems(payload, 2) == [
        "bill.paid has no upcaster from version 1: add it in workflow_engine/model/codec.py"
    ]
    assert problems(payload, 2, {("bill.paid", 1): dict}) == []


def test_an_event_that_was_released_cannot_go() -> None:
    (problem,) = release_events.problems(RELEASED, {}, UPCASTERS)

    assert problem.startswith("bill.paid was released and is gone: put it back")


@pytest.mark.parametrize(
    ("version", "problem"),
    [(0, "bill.paid goes back from version 1 to 0"), (3, "bill.paid skips from version 1 to 3")],
)
def test_versions_grow_by_one(version: int, problem: str) -> None:
    assert problems(Paid, version)[0].startswith(problem)


def test_a_new_event_begins_with_version_one() -> None:
    second = type("Second", (Paid,), {"schema_version": 2, "__module__": __name__})

    assert list(release_events.problems({}, {"bill.paid": second}, UPCASTERS)) == [
        "bill.paid is new and has version 2: begin with 1"
    ]


def test_a_version_that_is_not_frozen_is_told() -> None:
    (lack,) = release_events.unfrozen({}, {"bill.paid": Paid})

    assert lack.endswith("run: python docs/release_events.py")


def test_freezing_keeps_old_versions() -> None:
    second = type("Second", (Retyped,), {"schema_version": 2, "__module__": __name__})

    frozen = release_events.freeze(RELEASED, {"bill.paid": second})

    assert frozen["bill.paid"]["1"] == RELEASED["bill.paid"]["1"]
    assert frozen["bill.paid"]["2"]["properties"]["amount"] == {"type": "string", "x-privacy": "public"}


def test_every_payload_is_frozen_and_takes_nothing_unknown() -> None:
    for payload in CATALOGUE.values():
        assert payload.model_config["frozen"] is True
        assert payload.model_config["extra"] == "forbid"

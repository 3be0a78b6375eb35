"""A payload that is too large, or that the catalogue does not have, is refused at the door."""

import pytest

from workflow_engine.engine.payloads import payload_as_json
from workflow_engine.errors import EventRefused
from workflow_engine.model.events import PAYLOAD_LIMIT, parse_payload
from workflow_engine.model.step_events import StepSkipped as AnEvent


def test_a_payload_of_the_largest_size_is_an_event_and_one_more_byte_is_none() -> None:
    overhead = len('{"because":""}')

    assert len(payload_as_json(AnEvent(because="x" * (PAYLOAD_LIMIT - overhead)))) == PAYLOAD_LIMIT
    with pytest.raises(EventRefused, match=r"'step.skipped' has a payload of 65,537 bytes; 65,536 are allowed"):
        payload_as_json(AnEvent(because="x" * (PAYLOAD_LIMIT - overhead + 1)))


def test_bytes_count_not_characters() -> None:
    with pytest.raises(EventRefused, match="bytes"):
        payload_as_json(AnEvent(because="\N{SNOWMAN}" * (PAYLOAD_LIMIT // 2)))


def test_an_event_that_the_catalogue_does_not_have_is_refused() -> None:
    with pytest.raises(EventRefused, match=r"'step.complete' is not in the catalogue"):
        parse_payload("step.complete", {})


def test_a_payload_that_breaks_its_schema_is_refused() -> None:
    with pytest.raises(EventRefused, match="breaks its schema"):
        parse_payload("step.skipped", {"because": None})


def test_a_field_of_a_newer_program_is_left_out() -> None:
    assert parse_payload("step.skipped", {"because": "charge", "since": "later"}) == AnEvent(because="charge")

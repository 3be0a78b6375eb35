"""`an_event` makes events that are as the engine would have published them."""

from datetime import UTC, datetime
from typing import Any

import pytest

from workflow_engine.errors import EventRefused
from workflow_engine.model.events import CATALOGUE
from workflow_engine.model.trace_ids import parse_traceparent
from workflow_engine.testing import an_event

OTHER_RUN = "019b0c1e-0000-7000-8000-000000000002"


@pytest.mark.parametrize("name", CATALOGUE)
def test_an_event_is_the_catalogues_example_in_its_envelope(name: str) -> None:
    event = an_event(name)
    is_about_a_run = name.startswith(("run.", "step.")) or name == "schedule.fired"

    assert event.payload == CATALOGUE[name].model_validate(CATALOGUE[name].example)
    assert (event.run_id is not None) == (event.workflow is not None) == is_about_a_run
    assert (event.step is not None) == (event.attempt is not None) == name.startswith("step.")
    assert (parse_traceparent(event.traceparent) is not None) == is_about_a_run


def test_the_same_call_makes_the_same_event_and_another_subject_another_id() -> None:
    first = an_event("step.failed")

    assert an_event("step.failed") == first
    others = [an_event("step.failed", attempt=2), an_event("step.failed", run_id=OTHER_RUN), an_event("step.lost")]
    assert len({first.id, *(other.id for other in others)}) == 4
    assert others[1].correlation_id == OTHER_RUN


def test_a_field_goes_to_the_payload_if_it_has_it_else_to_the_envelope() -> None:
    at = datetime(2026, 2, 1, tzinfo=UTC)
    event = an_event("run.failed", step="pay", message="no", namespace="tenant", occurred_at=at, position=None)

    assert (event.data["step"], event.data["message"], event.step) == ("pay", "no", None)
    assert (event.namespace, event.occurred_at, event.position) == ("tenant", at, None)


def test_workflow_and_version_are_the_same_in_payload_and_envelope() -> None:
    event = an_event("run.failed", workflow="orders", version="7")

    assert (event.workflow, event.workflow_version) == ("orders", "7")
    assert (event.data["workflow"], event.data["version"]) == ("orders", "7")
    assert event.version == CATALOGUE["run.failed"].schema_version


@pytest.mark.parametrize(
    ("name", "fields", "said"),
    [
        ("run.faild", {}, r"'run.faild' is not in the catalogue \(did you mean 'run.failed'\?\)"),
        ("run.failed", {"mesage": "x"}, r"has no field 'mesage' \(did you mean 'message'\?\)"),
        ("run.failed", {"data": {}}, "has no field 'data'"),
        ("run.failed", {"message": 7}, "its payload breaks its schema"),
        ("run.failed", {"run_id": "1"}, "cannot have this envelope: badly formed hexadecimal UUID string"),
        ("run.failed", {"occurred_at": datetime(2026, 2, 1)}, "cannot have this envelope"),  # noqa: DTZ001
    ],
)
def test_an_event_that_could_not_be_is_refused(name: str, fields: dict[str, Any], said: str) -> None:
    with pytest.raises(EventRefused, match=said):
        an_event(name, **fields)

"""JSON at the door, run options within their bounds, and events that fit the catalogue."""

import json
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from workflow_engine import InvalidInput, ResultNotStorable
from workflow_engine.engine import publisher
from workflow_engine.model.commands import StepError
from workflow_engine.model.deadlines import UNCHANGED
from workflow_engine.model.events import CATALOGUE, MESSAGE_LIMIT
from workflow_engine.model.json_values import input_as_json, result_as_json
from workflow_engine.model.records import AttemptTimes
from workflow_engine.model.run_options import RunOptions, deadline_options, run_options

NOW = datetime(2026, 1, 1, tzinfo=UTC)
LIMIT = 1_000


def nested(depth: int) -> Any:
    """Return a list in a list in a list …"""
    value: Any = 1
    for _ in range(depth):
        value = [value]
    return value


@pytest.mark.parametrize(
    ("value", "problem"),
    [  # in a dict, what has no short repr: pytest makes names of plain numbers
        ({"a": object()}, "not JSON"),
        (float("nan"), "not JSON"),
        ({1, 2}, "not JSON"),
        ("x\x00y", "NUL"),
        ({"k\x00": 1}, "NUL"),
        ("\\\x00", "NUL"),
        ("\ud800", "lone surrogate"),
        (nested(201), "more than 200 deep"),
        ({"a": 1, "b": ["]" * 9, nested(200)]}, "more than 200 deep"),
        ([float("inf")], "not JSON"),
        ({("a", "b"): 1}, "not JSON"),
        ({"long": 10**5_000}, "not JSON"),
        (nested(100_000), "not JSON"),
        ("x" * LIMIT, "1002 bytes as JSON; the limit is 1000"),
    ],
)
def test_what_cannot_be_stored_is_refused_with_the_reason(value: Any, problem: str) -> None:
    with pytest.raises(InvalidInput, match=problem):
        input_as_json(value, LIMIT)
    with pytest.raises(ResultNotStorable, match=problem):
        result_as_json(value, LIMIT)


def test_the_letters_of_an_escape_are_not_a_nul() -> None:
    assert input_as_json("\\u0000", LIMIT) == '"\\\\u0000"'


@pytest.mark.parametrize("value", [nested(200), "[" * 300, ['"[{\\' * 100] * 2, [[]] * 300, {"[": "{"}])
def test_brackets_in_strings_or_side_by_side_are_not_depth(value: Any) -> None:
    assert json.loads(input_as_json(value, 10_000)) == value


def test_a_cyclic_value_is_refused() -> None:
    value: list[Any] = []
    value.append(value)

    with pytest.raises(InvalidInput, match="not JSON: Circular reference"):
        input_as_json(value, LIMIT)


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00")),
    lambda inner: st.lists(inner) | st.dictionaries(st.text("abc"), inner),
    max_leaves=10,
)


@given(json_values)
def test_every_json_value_is_taken(value: Any) -> None:
    assert json.loads(input_as_json(value, 1_000_000)) == value


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("title", ""),
        ("title", "x" * 201),
        ("title", "a\x00"),
        ("description", "x" * 2_001),
        ("agent", "x" * 101),
        ("idempotency_key", ""),
        ("idempotency_key", "x" * 201),
        ("correlation_id", "x" * 201),
        ("initiator", ""),
        ("tags", ["x" * 101]),
        ("tags", ["x"] * 51),
        ("metadata", {"a": object()}),
        ("metadata", {"a": "x" * 70_000}),
        ("priority", "urgent"),
        ("priority", 4),
        ("due_at", datetime(2026, 1, 1)),  # noqa: DTZ001  without a time zone on purpose
        ("due_at", datetime(1, 1, 1, tzinfo=timezone(timedelta(hours=14)))),
        ("scheduled_at", datetime(9999, 12, 31, 23, 59, tzinfo=timezone(timedelta(hours=-14)))),
        ("expires_at", datetime.min.replace(tzinfo=UTC)),
        ("remind_before", [0]),
        ("remind_before", [float("nan")]),
        ("remind_before", [timedelta(days=367)]),
        ("remind_before", [60, timedelta(minutes=1)]),
        ("remind_before", list(range(1, 22))),
        ("remind_before", ["1h"]),
        ("remind_before", 60),
        ("remind_before", [60]),  # without due_at
        ("timeout", 0),
        ("timeout", float("inf")),
        ("timeout", True),
        ("timeout", timedelta(days=366, seconds=1)),
        ("expires_in", 0),
        ("expires_in", timedelta(days=9_999)),
        ("colour", "red"),
    ],
)
def test_an_option_out_of_bounds_is_refused_by_name(option: str, value: Any) -> None:
    with pytest.raises(InvalidInput) as raised:
        run_options(NOW, **{option: value})

    assert raised.value.field.startswith(option)


def test_reminders_and_a_timeout_within_bounds_are_taken_the_first_reminder_first() -> None:
    options = run_options(NOW, due_at=NOW, remind_before=(60, timedelta(days=366), 0.5), timeout=timedelta(days=366))

    assert [each.total_seconds() for each in options.remind_before] == [366 * 86_400, 60, 0.5]
    assert options.model_dump(mode="json", include={"timeout", "remind_before"}) == {
        "timeout": 366 * 86_400,
        "remind_before": [366 * 86_400, 60, 0.5],
    }
    assert RunOptions(**options.model_dump(mode="json")) == options


@pytest.mark.parametrize(
    ("field", "said"),
    [
        ("due_at", {}),
        ("due_at", {"due_at": datetime(2026, 1, 1)}),  # noqa: DTZ001  without a time zone on purpose
        ("remind_before.0", {"remind_before": [-1]}),
        ("remind_before", {"due_at": None, "remind_before": [1]}),
        ("actor", {"due_at": None, "actor": "x" * 201}),
    ],
)
def test_a_new_deadline_out_of_bounds_is_refused_by_name(field: str, said: dict[str, Any]) -> None:
    with pytest.raises(InvalidInput) as raised:
        deadline_options(**{"due_at": UNCHANGED, "remind_before": UNCHANGED, "actor": None, **said})

    assert raised.value.field == field


def test_only_what_is_said_of_a_deadline_is_changed() -> None:
    assert deadline_options(due_at=None, remind_before=UNCHANGED, actor="ada") == {"due_at": None, "actor": "ada"}
    assert deadline_options(due_at=UNCHANGED, remind_before=[60], actor=None) == {
        "remind_before": (timedelta(minutes=1),),
        "actor": None,
    }


def test_options_within_bounds_are_taken() -> None:
    options = run_options(NOW, title="x" * 200, priority="critical", tags=["a"], expires_in=60, metadata={"a": [1]})

    assert (options.priority, options.expires_at) == (3, NOW + timedelta(minutes=1))


@pytest.mark.parametrize("name", sorted(CATALOGUE))
def test_every_event_has_an_example_that_fits_a_publisher_and_refuses_strangers(name: str) -> None:
    payload = CATALOGUE[name]

    assert payload.model_validate(payload.example).model_dump(mode="json") == payload.example
    assert callable(getattr(publisher, name.replace(".", "_")))
    assert payload.__doc__
    assert payload.fired_by
    assert payload.frequency
    with pytest.raises(ValidationError):
        payload.model_validate({**payload.example, "secret": 1})


_NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)
TIMES = AttemptTimes(dispatched_at=_NOON, started_at=_NOON)


def test_messages_in_events_are_bounded() -> None:
    event = publisher.step_failed("s", 1, TIMES, StepError(error_class="E", message="x" * 50_000))

    assert len(event.data) < MESSAGE_LIMIT + 200

"""Cursors lead back to where they came from, and to no other list."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workflow_engine.errors import InvalidInput
from workflow_engine.ids import RunId
from workflow_engine.model.pages import Place, as_cursor, check_limit, parse_cursor
from workflow_engine.model.run_filter import RunFilter, RunOrder, run_filter

A_PLACE = Place(moment=datetime(2026, 1, 31, 12, tzinfo=UTC), run_id=RunId(str(UUID(int=17))))


@given(st.datetimes(timezones=st.just(UTC)), st.uuids(), st.text())
def test_a_cursor_leads_to_its_place(moment: datetime, run_id: UUID, question: str) -> None:
    place = Place(moment=moment, run_id=RunId(str(run_id)))
    if all(not 0xD800 <= ord(sign) < 0xE000 for sign in question):
        assert parse_cursor(as_cursor(place, question), question) == place


@pytest.mark.parametrize("text", ["", "x", "!" * 44, "A" * 44, "é" * 44, "A" * 10_000, "\x00", 17, None, b"AQ"])
def test_what_no_page_came_with_is_refused_by_name(text: Any) -> None:
    with pytest.raises(InvalidInput) as raised:
        parse_cursor(text, "q")

    assert raised.value.field == "cursor"


@pytest.mark.parametrize(
    ("namespace", "wanted", "order"),
    [
        ("tenant", {}, RunOrder.NEWEST),
        ("default", {"tags": ["eu"]}, RunOrder.NEWEST),
        ("default", {}, RunOrder.OLDEST),
    ],
)
def test_a_cursor_of_another_list_is_refused(namespace: str, wanted: dict[str, Any], order: RunOrder) -> None:
    cursor = as_cursor(A_PLACE, RunFilter().question("default"))

    with pytest.raises(InvalidInput, match="another filter or order"):
        parse_cursor(cursor, run_filter(**wanted).question(namespace, order))


@pytest.mark.parametrize(
    ("field", "wanted"),
    [
        ("states.0", {"states": ["happy"]}),
        ("colour", {"colour": "blue"}),
        ("version", {"version": "1"}),
        ("tags", {"tags": ["x"] * 11}),
        ("title", {"title": "x" * 10_000}),
        ("agent", {"agent": "a\x00"}),
        ("rerun_of", {"rerun_of": "17"}),
        ("metadata", {"metadata": {"a": "x" * 5_000}}),
        ("metadata", {"metadata": {"a": "\x00"}}),
        ("metadata", {"metadata": [1]}),
        ("created_after", {"created_after": datetime(2026, 1, 31)}),  # noqa: DTZ001  without a zone: what is refused
        ("created_before", {"created_after": A_PLACE.moment, "created_before": A_PLACE.moment}),
        ("finished_before", {"finished_after": A_PLACE.moment, "finished_before": A_PLACE.moment - timedelta(1)}),
    ],
)
def test_a_filter_that_cannot_be_is_refused_by_name(field: str, wanted: dict[str, Any]) -> None:
    with pytest.raises(InvalidInput) as raised:
        run_filter(**wanted)

    assert raised.value.field == field


@pytest.mark.parametrize("limit", [0, -1, 1_001, True, 2.5, "3", None])
def test_a_limit_is_a_number_from_1_to_1000(limit: Any) -> None:
    with pytest.raises(InvalidInput, match="limit: must be from 1 to 1000"):
        check_limit(limit)

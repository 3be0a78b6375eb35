"""Cursors of the API's lists: anybody can make one, so each part is checked."""

from datetime import UTC, datetime

import pytest

from workflow_engine.api.pages import PlacePart, as_cursor, parse_cursor
from workflow_engine.errors import InvalidInput

A_MOMENT = datetime(2026, 1, 31, 12, tzinfo=UTC)


def test_a_cursor_leads_to_its_place() -> None:
    assert parse_cursor("a list", as_cursor("a list", A_MOMENT, "x", 17), datetime, str, int) == (A_MOMENT, "x", 17)


@pytest.mark.parametrize(
    ("part", "kind"),
    [
        ("0001-01-01T00:00:00+14:00", datetime),
        ("9999-12-31T23:59:59-14:00", datetime),
        ("yesterday", datetime),
        (17, datetime),
        ("a\x00b", str),
        (17, str),
        (2**63, int),
        (-2, int),
        ("17", int),
    ],
)
def test_a_cursor_with_a_part_that_no_list_has_is_refused(part: PlacePart, kind: type[PlacePart]) -> None:
    with pytest.raises(InvalidInput) as raised:
        parse_cursor("a list", as_cursor("a list", part), kind)

    assert raised.value.field == "cursor"

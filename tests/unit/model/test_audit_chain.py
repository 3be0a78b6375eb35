"""The audit log's chain: what is hashed, and that the walk finds the first row that is wrong."""

import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from hashlib import sha256
from typing import Any

import pytest

from tests.support.audits import NOON, events
from workflow_engine.model.audit_chain import (
    START,
    Anchor,
    AuditEntry,
    AuditRow,
    ChainEnd,
    ChainWalk,
    Flaw,
    canonical_json,
    data_from_json,
    link,
)
from workflow_engine.subscribers.audit import entry_of


def chain(length: int) -> list[AuditRow]:
    """Return rows 1, 2, … of a chain."""
    rows: list[AuditRow] = []
    end = START
    for event in events(length):
        rows.append(link(end, entry_of(event), NOON)[0])
        end = ChainEnd(number=rows[-1].number, hash=rows[-1].hash)
    return rows


def end_of(rows: Sequence[AuditRow]) -> ChainEnd:
    return ChainEnd(number=rows[-1].number, hash=rows[-1].hash)


def flaw(rows: Sequence[AuditRow], head: ChainEnd | None, anchors: Sequence[Anchor] = ()) -> Flaw | None:
    """Walk along rows; return the first flaw."""
    walk = ChainWalk(START, anchors)
    for row in rows:
        if (found := walk.step(row)) is not None:
            return found
    return walk.finish(head)


def an_anchor(rows: Sequence[AuditRow]) -> Anchor:
    return Anchor(
        first_number=rows[0].number, previous_hash=rows[0].previous_hash, number=rows[-1].number, hash=rows[-1].hash
    )


AN_ENTRY = chain(1)[0].entry


def an_entry(data: Any) -> AuditEntry:
    return replace(AN_ENTRY, data=data)


def test_a_hash_is_that_of_the_hash_before_and_the_rows_json() -> None:
    first, second = chain(2)

    text = canonical_json(2, second.entry, NOON)
    assert first.previous_hash == bytes(32)
    assert second.hash == sha256(first.hash + text).digest()
    assert text.decode() == json.dumps(json.loads(text), sort_keys=True, separators=(",", ":"))
    assert json.loads(text)["occurred_at"] == "2026-03-15T12:00:01.000000+00:00"


def test_the_zone_of_a_time_and_the_letters_of_an_id_make_no_difference() -> None:
    entry = chain(1)[0].entry
    tokyo = timezone(timedelta(hours=9))
    same = replace(entry, occurred_at=entry.occurred_at.astimezone(tokyo))

    assert canonical_json(1, same, NOON.astimezone(tokyo)) == canonical_json(1, entry, NOON)


@pytest.mark.parametrize("value", [1, 1.0, 0.1, 1e20, 1e23, 1e-7, -0.0, 123456789.125, 2**70, True, None, "é\u2028"])
def test_a_value_is_hashed_alike_before_and_after_its_way_through_json(value: Any) -> None:
    again = data_from_json(json.dumps({"a": [value]}))

    assert canonical_json(1, an_entry(again), NOON) == canonical_json(1, an_entry({"a": (value,)}), NOON)


def test_numbers_that_are_one_float_are_told_apart() -> None:
    texts = {canonical_json(1, an_entry(data_from_json(text)), NOON) for text in ("0.1", "0.10000000000000000001")}

    assert len(texts) == 2


def test_an_untouched_chain_has_no_flaw() -> None:
    rows = chain(10)

    assert flaw(rows, end_of(rows)) is None
    assert flaw([], START) is None


@pytest.mark.parametrize("place", [0, 4, 9])
def test_a_missing_row_is_named(place: int) -> None:
    rows = chain(10)

    found = flaw(rows[:place] + rows[place + 1 :], end_of(rows))

    assert found is not None
    assert (found.number, "is missing" in found.reason) == (place + 1, True)


@pytest.mark.parametrize(
    "change",
    [
        {"event": "run.failed"},
        {"actor": "eve"},
        {"step": None},
        {"occurred_at": datetime(2026, 3, 15, 12, 0, 4, 1, tzinfo=UTC)},
        {"data": {}},
    ],
)
def test_a_changed_row_is_named(change: dict[str, Any]) -> None:
    rows = chain(10)
    rows[4] = replace(rows[4], entry=replace(rows[4].entry, **change))

    found = flaw(rows, end_of(rows))

    assert found == Flaw(number=5, reason="was changed: its hash is not that of what it says")


def test_a_change_with_a_new_hash_is_found_at_the_row_after_it() -> None:
    rows = chain(10)
    rows[4], _ = link(end_of(rows[:4]), replace(rows[4].entry, actor="eve"), NOON)

    found = flaw(rows, end_of(rows))

    assert found is not None
    assert (found.number, "does not follow number 5" in found.reason) == (6, True)


def test_the_last_row_with_a_new_hash_is_not_the_one_that_the_head_knows() -> None:
    rows = chain(10)
    rows[9], _ = link(end_of(rows[:9]), replace(rows[9].entry, actor="eve"), NOON)

    found = flaw(rows, end_of(chain(10)))

    assert found is not None
    assert (found.number, "was replaced" in found.reason) == (10, True)


def test_a_row_with_a_number_that_is_there_is_named() -> None:
    rows = chain(10)

    found = flaw([*rows[:5], rows[4], *rows[5:]], end_of(rows))

    assert found == Flaw(number=5, reason="was inserted: its number is there twice")


def test_two_rows_in_each_others_place_are_found_at_the_first() -> None:
    rows = chain(10)
    rows[4], rows[5] = replace(rows[5], number=5), replace(rows[4], number=6)

    found = flaw(rows, end_of(rows))

    assert found is not None
    assert found.number == 5


def test_an_end_that_was_cut_off_is_found() -> None:
    rows = chain(10)

    found = flaw(rows[:7], end_of(rows))

    assert found == Flaw(number=8, reason="is missing, with all up to number 10: the end of the log was cut off")


def test_a_row_after_the_head_is_found() -> None:
    rows = chain(10)

    found = flaw(rows, end_of(rows[:8]))

    assert found == Flaw(number=9, reason="was inserted: it comes after the head of the log")


def test_a_log_without_its_head_is_not_whole() -> None:
    assert flaw(chain(3), None) is not None


@pytest.mark.parametrize("dropped", [[(0, 4)], [(0, 2), (3, 5)], [(0, 3), (3, 6)], [(0, 4), (8, 10)], [(0, 10)]])
def test_what_retention_dropped_is_not_missed(dropped: list[tuple[int, int]]) -> None:
    rows = chain(10)
    anchors = [an_anchor(rows[first:after]) for first, after in dropped]
    gone = {number for first, after in dropped for number in range(first, after)}

    assert flaw([row for place, row in enumerate(rows) if place not in gone], end_of(rows), anchors) is None


def test_an_anchor_that_does_not_fit_what_is_before_it_is_found() -> None:
    rows = chain(10)
    anchor = replace(an_anchor(rows[3:6]), previous_hash=bytes(32))

    found = flaw(rows[:3] + rows[6:], end_of(rows), [anchor])

    assert found is not None
    assert found.number == 4


def test_an_anchor_does_not_hide_that_the_row_after_it_is_missing() -> None:
    rows = chain(10)

    found = flaw(rows[5:], end_of(rows), [an_anchor(rows[:4])])

    assert found == Flaw(number=5, reason="is missing")

"""The tally: exact numbers, however often an event comes."""

import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from examples.subscribers.tally import Tally
from workflow_engine.model.records import EventRecord
from workflow_engine.testing import an_event

NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Where it is kept."""
    return tmp_path / "tally.sqlite"


@pytest.fixture
def tally(file: Path) -> Tally:
    """A tally of nothing."""
    made = Tally(file=str(file))
    made.opened()
    return made


def rows(file: Path) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(file)) as db:
        return db.execute("SELECT step, state, number, mean_seconds, max_seconds FROM tally").fetchall()


def charged(number: int, seconds: float) -> EventRecord:
    return an_event(
        "step.completed", started_at=NOON, occurred_at=NOON + timedelta(seconds=seconds), attempt=number, step="charge"
    )


def test_it_counts_and_times_by_workflow_step_and_state(tally: Tally, file: Path) -> None:
    succeeded = an_event("run.succeeded", started_at=NOON, occurred_at=NOON + timedelta(seconds=5))

    tally.on_batch([charged(1, 1.0), charged(2, 3.0), an_event("step.skipped", step="ship"), succeeded])

    assert rows(file) == [
        (None, "succeeded", 1, 5.0, 5.0),
        ("charge", "completed", 2, 2.0, 3.0),
        ("ship", "skipped", 1, None, None),
    ]


def test_an_event_that_comes_again_changes_nothing(tally: Tally, file: Path) -> None:
    tally.on_batch([charged(1, 1.0)])
    tally.on_batch([charged(1, 1.0), charged(2, 1.0)])

    assert rows(file) == [("charge", "completed", 2, 1.0, 1.0)]


def test_what_was_counted_is_there_after_a_restart(tally: Tally, file: Path) -> None:
    tally.on_batch([charged(1, 1.0)])

    again = Tally(file=str(file))
    again.opened()
    again.on_batch([charged(1, 1.0)])

    assert rows(file) == [("charge", "completed", 1, 1.0, 1.0)]


@pytest.mark.parametrize("name", list(Tally.routes))
def test_it_takes_each_of_its_events(tally: Tally, file: Path, name: str) -> None:
    tally.on_batch([an_event(name)])

    assert [row[1] for row in rows(file)] == [name.partition(".")[2]]


def test_a_file_that_cannot_be_written_is_a_failure(tmp_path: Path) -> None:
    with pytest.raises(sqlite3.OperationalError):
        Tally(file=str(tmp_path / "no" / "tally.sqlite")).opened()

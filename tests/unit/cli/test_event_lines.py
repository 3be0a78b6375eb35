"""An event as a line for people: it says what happened to what, and nothing in it steers the terminal."""

from dataclasses import replace

import pytest

from workflow_engine.cli.event_tail import event_line
from workflow_engine.model.event_schemas import example_event
from workflow_engine.model.events import CATALOGUE


@pytest.mark.parametrize("name", CATALOGUE)
def test_every_event_is_one_line_that_names_it(name: str) -> None:
    event = example_event(name)

    line = event_line(event)

    assert "\n" not in line
    assert line.isprintable()
    for part in (name, event.run_id, event.workflow, event.step):
        assert part is None or f"  {part}" in line


def test_a_line_tells_the_payload_but_not_what_is_told_already() -> None:
    line = event_line(example_event("run.failed"))

    assert line.endswith('step=charge error_class=CardDeclined message="insufficient funds"')
    assert "submitted_at" not in line


def test_text_that_would_steer_a_terminal_is_quoted() -> None:
    event = example_event("run.failed")
    hostile = "\x1b[2J\nrun.succeeded \x9b31m \u202e gone"

    line = event_line(replace(event, data={**event.data, "message": hostile}))

    assert line.isprintable()
    assert r'message="\u001b[2J\nrun.succeeded \u009b31m \u202e gone"' in line


def test_a_payload_of_a_newer_program_is_told_too() -> None:
    event = replace(example_event("run.started"), name="run.praised", data={"by": ["ada"], "stars": 5})

    assert event_line(event).endswith('by="[\\"ada\\"]" stars=5')

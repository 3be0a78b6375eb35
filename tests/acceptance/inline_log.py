"""Inline subscribers for the tests' workers: one writes down what it hears, one always fails."""

import json
import os
from pathlib import Path
from typing import Any

import psycopg

from workflow_engine import EventRecord, Subscriber

_FIND = "SELECT FROM events WHERE run_id = %s AND name = %s AND step IS NOT DISTINCT FROM %s"
EVENTS = ("step.started", "step.completed", "run.succeeded")


class Hears(Subscriber):
    """Appends a line for each event; it says whether others can see the event by now."""

    name = "hears"
    subscribe_to = EVENTS
    delivery = "inline"

    def opened(self) -> None:
        """Connect past the engine."""
        self._connection = psycopg.connect(os.environ["WFE_DATABASE_URL"], autocommit=True)

    def closed(self) -> None:
        """Disconnect."""
        self._connection.close()

    def on_event(self, event: EventRecord) -> None:
        """Look for the event, and write it down."""
        found = self._connection.execute(_FIND, [event.run_id, event.name, event.step]).fetchone()
        line = {"run": event.run_id, "event": event.name, "step": event.step, "is_committed": found is not None}
        with heard_file().open("a") as file:
            file.write(json.dumps(line | {"pid": os.getpid()}) + "\n")


class Fails(Subscriber):
    """Raises whatever it gets."""

    name = "fails"
    subscribe_to = ("*",)
    delivery = "inline"

    def on_event(self, event: EventRecord) -> None:
        """Raise."""
        raise RuntimeError(f"no {event.name} today")


def heard_file(folder: str | Path | None = None) -> Path:
    """Return the file of lines on a stage, by default that of the environment."""
    return Path(folder or os.environ["STAGE_FOLDER"]) / "heard"


def heard(folder: Path) -> list[dict[str, Any]]:
    """Return what was written down on a stage."""
    file = heard_file(folder)
    return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []

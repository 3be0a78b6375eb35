"""Steps that failed for good, as people see and name them."""

import uuid
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from workflow_engine.errors import InvalidInput
from workflow_engine.ids import RunId


class DeadLetterState(StrEnum):
    """What became of a step that failed for good."""

    DEAD = "dead"
    """It waits for a person."""
    REQUEUED = "requeued"
    """Somebody had it run again."""
    DISCARDED = "discarded"
    """Somebody gave it up."""
    RESOLVED = "resolved"
    """Somebody said by hand what the step's result is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StepDeadLetter:
    """A step that failed for good, once; if it fails again after it was requeued, that is another one."""

    run_id: RunId
    position: int
    step: str
    workflow: str
    version: str
    namespace: str
    attempt: int
    """The number of its last attempt."""
    attempts: int
    """How many it had, since the run began or since it was last requeued."""
    error_class: str
    message: str
    traceback: str | None = None
    """Of the last attempt; ``get`` returns it, pages do without."""
    failed_at: datetime
    state: DeadLetterState
    closed_at: datetime | None
    """When somebody requeued or discarded it."""
    closed_by: str | None
    reason: str | None
    """Why, as whoever did it said."""

    @property
    def id(self) -> str:
        """What names it: ``RUN/STEP``."""
        return f"{self.run_id}/{self.step}"


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadLetterPlace:
    """A place in a list of dead letters, newest first."""

    failed_at: datetime
    run_id: RunId
    position: int
    attempt: int


def parse_dead_letter_id(text: object) -> tuple[RunId, str]:
    """Return the run and the step that an id names.

    Raises:
        InvalidInput: it is none.
    """
    run, _, step = text.partition("/") if isinstance(text, str) else ("", "", "")
    if not step:
        raise InvalidInput("id", f"{text!r} is not the id of a step's dead letter: RUN/STEP")
    return parse_run_id(run, field="id"), step


def parse_run_id(text: str, *, field: str = "run") -> RunId:
    """Return a run's id in its usual form.

    Raises:
        InvalidInput: it is none; the message names ``field``.
    """
    try:
        return RunId(str(uuid.UUID(text)))
    except ValueError:
        raise InvalidInput(field, f"{text!r} is not the id of a run") from None

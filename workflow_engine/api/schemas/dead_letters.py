"""Dead letters of steps: how they are shown, and what is said when they are closed."""

from datetime import datetime
from typing import Annotated, Any, Final

from pydantic import BaseModel, ConfigDict, Field

from workflow_engine.api.schemas.lifecycle import Said
from workflow_engine.api.schemas.requests import Switch
from workflow_engine.client.dead_letters import Handled
from workflow_engine.model.dead_letters import DeadLetterState, StepDeadLetter
from workflow_engine.model.run_options import Text

MOST_AT_ONCE: Final = 1_000
"""Dead letters that one request closes."""

Name = Annotated[Text, Field(min_length=1, max_length=200)]


class DeadLetter(BaseModel):
    """A step that failed for good."""

    id: str = Field(description="`RUN/STEP`.")
    run_id: str
    step: str
    workflow: str
    version: str
    namespace: str
    attempt: int = Field(description="The number of its last attempt.")
    attempts: int = Field(description="How many it had, since the run began or since it was last requeued.")
    error_class: str
    message: str
    traceback: str | None = Field(description="Of the last attempt; lists do without.")
    failed_at: datetime
    state: DeadLetterState
    closed_at: datetime | None
    closed_by: str | None
    reason: str | None


class LettersFilter(BaseModel):
    """Which dead letters a list shows."""

    workflow: Name | None = None
    step: Name | None = None
    error_class: Name | None = None
    run: Name | None = Field(default=None, description="The id of a run.")
    state: list[DeadLetterState] = Field(default=[DeadLetterState.DEAD], description="May be repeated.")

    @property
    def values(self) -> dict[str, Any]:
        """As ``DeadLetters.page`` takes it."""
        return self.model_dump(exclude={"state"}) | {"states": self.state}


class DeadLettersWanted(Said):
    """Which dead letters are meant: all that fit what is said."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"workflow": "orders", "error_class": "ConnectionError", "dry_run": True}]}
    )

    workflow: Name | None = None
    step: Name | None = None
    error_class: Name | None = None
    run: Name | None = Field(default=None, description="The id of a run.")
    dry_run: Switch = Field(default=False, description="Say what would be done, and do nothing.")


class RefusedLetter(BaseModel):
    """A dead letter that could not be closed."""

    id: str
    reason: str


class LettersHandled(BaseModel):
    """What came of a bulk."""

    dry_run: bool
    matched: int
    done: list[str] = Field(description="The ids of those that were closed; of a dry run, of those that would be.")
    refused: list[RefusedLetter]
    more: bool = Field(description="Whether others fit too: ask again.")


def dead_letter_of(letter: StepDeadLetter) -> DeadLetter:
    """Return a dead letter as it is shown."""
    return DeadLetter.model_construct(None, **{name: getattr(letter, name) for name in DeadLetter.model_fields})


def letters_handled(handled: Handled, *, dry_run: bool) -> LettersHandled:
    """Return what came of a bulk as it is shown."""
    return LettersHandled(
        dry_run=dry_run,
        matched=len(handled.done) + len(handled.refused),
        more=len(handled.done) + len(handled.refused) == MOST_AT_ONCE,
        done=[each.id for each in handled.done],
        refused=[RefusedLetter(id=each.id, reason=each.why) for each in handled.refused],
    )

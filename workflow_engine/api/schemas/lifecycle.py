"""What is said when a run is changed, and what is answered."""

from collections.abc import Sequence
from typing import Annotated, Any, Final

from pydantic import BaseModel, ConfigDict, Field

from workflow_engine.api.schemas.requests import Moment, RequestBody, Seconds
from workflow_engine.definitions.policies import Priority
from workflow_engine.model.run import RunState
from workflow_engine.model.run_options import Text

Actor = Annotated[Text, Field(max_length=200, description="Who asks; only an admin may name somebody else.")]
Reason = Annotated[Text, Field(max_length=2_000)]
StepName = Annotated[Text, Field(min_length=1, max_length=100)]
Key = Annotated[Text, Field(min_length=1, max_length=200)]
_DAY: Final = 24 * 3600


class Acting(RequestBody):
    """Who does something."""

    actor: Actor | None = Field(default=None, examples=[None])


class Said(Acting):
    """What somebody says about what they do."""

    reason: Reason | None = Field(default=None, examples=["the order was withdrawn"])


class Cancel(Said):
    """How a run is cancelled."""

    grace: Annotated[float, Field(ge=0, le=_DAY, strict=True)] | None = Field(
        default=None,
        description="Seconds that steps that run get to end; unless given, as the setting says.",
        examples=[30],
    )


class Retry(Said):
    """What is retried."""

    steps: list[StepName] = Field(
        default=[], max_length=1_000, description="Names of failed steps; none named are all.", examples=[["charge"]]
    )


class Rerun(Said):
    """From where a run is done again."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"step": "pack", "reason": "the box was too small"}]})

    step: StepName = Field(description="It and all that comes after it is done again.")
    idempotency_key: Key | None = Field(default=None, description="The same key gives the same run.")


class Resolve(Acting):
    """What a step's result is, said by hand."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"result": {"paid": True}, "reason": "the customer paid in cash"}]}
    )

    result: Any = Field(description="What the steps after it get.")
    reason: Annotated[Text, Field(min_length=1, max_length=2_000)]


class Changes(RequestBody):
    """What is to be said anew about a run; what is not named stays as it is."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"priority": "critical", "due_at": "2030-01-31T12:00:00Z", "metadata": {"asked_twice": True}}]
        }
    )

    priority: Priority | None = Field(default=None, description="Of what was not sent yet; null: each step's own.")
    title: Annotated[Text, Field(min_length=1, max_length=200)] | None = None
    description: Annotated[Text, Field(max_length=2_000)] | None = None
    tags: list[Annotated[Text, Field(min_length=1, max_length=100)]] = Field(
        default=[], max_length=50, description="In place of those there are."
    )
    metadata: dict[str, Any] = Field(default={}, description="Merged into what there is; a key with null goes.")
    due_at: Moment | None = Field(default=None, description="Null: at no time, and without reminders.")
    remind_before: list[Seconds] = Field(default=[], max_length=20, description="Seconds before `due_at`.")

    @property
    def values(self) -> dict[str, Any]:
        """What is named, a null too, as ``RunHandle.update`` takes it."""
        return {name: getattr(self, name) for name in self.model_fields_set & Changes.model_fields.keys()}


class Update(Changes, Acting):
    """Changes, and who makes them."""


class Signal(RequestBody):
    """What a run is told."""

    payload: Any = Field(default=None, description="The waiting step's result.", examples=[{"approved": True}])
    key: Key | None = Field(
        default=None, description="However often a signal with this key is sent, the run takes one.", examples=["a-17"]
    )
    actor: Actor | None = Field(default=None, examples=[None])


class Changed(BaseModel):
    """What came of a request to change a run."""

    id: str
    state: RunState = Field(description="Where the run stands now.")
    changed: bool = Field(description="False if it was so already.")


class Retried(Changed):
    """What came of a retry."""

    requeued: list[str] = Field(description="Steps that run again.")
    restored: list[str] = Field(description="Steps that wait again.")


class Updated(BaseModel):
    """What came of an update."""

    id: str
    changed: list[str] = Field(description="The names of what is different now.")


class SignalTaken(BaseModel):
    """What came of a signal."""

    id: str
    signal: str
    taken: bool = Field(description="False if the run had the signal with this key already.")


def retried(run_id: str, state: RunState, requeued: Sequence[str], restored: Sequence[str]) -> Retried:
    """Return what came of a retry as it is shown."""
    return Retried(
        id=run_id, state=state, changed=bool(requeued or restored), requeued=list(requeued), restored=list(restored)
    )

"""What is said when a run is changed, and what is answered."""

from typing import Annotated, Any

from pydantic import BaseModel, Field

from workflow_engine.api.schemas.requests import RequestBody
from workflow_engine.model.run import RunState

Actor = Annotated[str, Field(max_length=200, description="Who asks; only an admin may name somebody else.")]


class Acting(RequestBody):
    """Who does something."""

    actor: Actor | None = Field(default=None, examples=[None])


class Said(Acting):
    """What somebody says about what they do."""

    reason: Annotated[str, Field(max_length=2_000)] | None = Field(default=None, examples=["the order was withdrawn"])


class Signal(RequestBody):
    """What a run is told."""

    payload: Any = Field(default=None, description="The waiting step's result.", examples=[{"approved": True}])
    key: Annotated[str, Field(min_length=1, max_length=200)] | None = Field(
        default=None, description="However often a signal with this key is sent, the run takes one."
    )
    actor: Actor | None = None


class Changed(BaseModel):
    """What came of a request to change a run."""

    id: str
    state: RunState = Field(description="Where the run stands now.")
    changed: bool = Field(description="False if it was so already.")


class SignalTaken(BaseModel):
    """What came of a signal."""

    id: str
    signal: str
    taken: bool = Field(description="False if the run had the signal with this key already.")

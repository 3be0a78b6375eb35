"""Which runs are meant: as query parameters of lists, and as bodies of bulk actions."""

import json
from typing import Annotated, Any, Final
from uuid import UUID

from pydantic import BaseModel, Field

from workflow_engine.api.schemas.requests import RequestBody, Then
from workflow_engine.errors import InvalidInput
from workflow_engine.model.run import RunState
from workflow_engine.model.run_filter import RunOrder
from workflow_engine.model.run_options import Text

_SINGULAR: Final = {"state": "states", "tag": "tags"}

Name = Annotated[Text, Field(min_length=1, max_length=200)]


class _Common(BaseModel):
    """What may be said in both."""

    workflow: Name | None = None
    version: Name | None = Field(default=None, description="Of the workflow, which must be named too.")
    agent: Name | None = None
    initiator: Name | None = None
    correlation_id: Name | None = None
    rerun_of: UUID | None = Field(default=None, description="The id of the run of which they do a part again.")
    idempotency_key: Name | None = None
    schedule: Name | None = Field(default=None, description="The name of the schedule that they are occurrences of.")
    title: Name | None = Field(default=None, description="Text that the title has in it, whatever the case.")
    created_after: Then | None = Field(default=None, description="Then, or later.")
    created_before: Then | None = Field(default=None, description="Earlier than that.")
    finished_after: Then | None = None
    finished_before: Then | None = None
    due_before: Then | None = None


class RunsMeant(_Common):
    """Which runs a request is about: those that fit all that is said."""

    state: list[RunState] = Field(default=[], max_length=20, description="Any of these; may be repeated.")
    tag: list[Name] = Field(default=[], max_length=10, description="All of these; may be repeated.")
    metadata: Annotated[Text, Field(max_length=5_000)] | None = Field(
        default=None,
        description='A JSON object that the run\'s metadata has in it: `{"customer": 7}`.',
        examples=['{"customer": 7}'],
    )

    @property
    def values(self) -> dict[str, Any]:
        """As ``WorkflowClient.page_runs`` takes it.

        Raises:
            InvalidInput: the metadata is no JSON object.
        """
        said = {_SINGULAR.get(name, name): value for name, value in self if value is not None and value != []}
        if self.metadata is not None:
            said["metadata"] = _object(self.metadata)
        return said


class RunsWanted(RunsMeant):
    """Which runs a list shows, and in which order."""

    order: RunOrder = Field(default=RunOrder.NEWEST, description="Of their submits.")


class RunFilterBody(RequestBody, _Common):
    """Which runs are meant: those that fit all that is said."""

    states: list[RunState] = Field(default=[], max_length=20, description="Any of these.")
    tags: list[Name] = Field(default=[], max_length=10, description="All of these.")
    metadata: dict[str, Any] = Field(default={}, description="What the run's metadata has in it, however deep.")


def _object(text: str) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        raise InvalidInput("metadata", 'must be a JSON object such as {"customer": 7}')
    return value

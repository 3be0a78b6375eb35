"""RunFilter: which runs are meant, in lists, counts and bulk actions."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, Final
from uuid import UUID

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field

from workflow_engine.errors import InvalidInput
from workflow_engine.model.json_values import input_as_json
from workflow_engine.model.run import RunState
from workflow_engine.model.run_options import Text, checked

_METADATA_LIMIT: Final = 4_096
_TAGS_LIMIT: Final = 10

Name = Annotated[Text, Field(min_length=1, max_length=200)]


class RunOrder(StrEnum):
    """In which order a list of runs comes: by when they were submitted."""

    NEWEST = "newest"
    OLDEST = "oldest"


def _findable(metadata: dict[str, Any]) -> dict[str, Any]:
    try:
        input_as_json(metadata, _METADATA_LIMIT)
    except InvalidInput as error:
        raise ValueError(error.reason.replace("WFE_INPUT_LIMIT_BYTES", "of a filter")) from None
    return metadata


class RunFilter(BaseModel):
    """Which runs of a namespace are meant: those that fit all that is said; what is not said is open."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    states: Annotated[tuple[RunState, ...], Field(max_length=20)] = ()
    """Any of these."""
    workflow: Name | None = None
    version: Name | None = None
    """Of the workflow, which must be named too."""
    tags: Annotated[tuple[Name, ...], Field(max_length=_TAGS_LIMIT)] = ()
    """All of these."""
    metadata: Annotated[dict[str, Any], AfterValidator(_findable)] = Field(default_factory=dict)
    """Metadata that has all of this in it, however deep: PostgreSQL's ``@>``."""
    agent: Name | None = None
    initiator: Name | None = None
    correlation_id: Name | None = None
    idempotency_key: Name | None = None
    schedule: Name | None = None
    """The name of the schedule of which they are occurrences."""
    rerun_of: UUID | None = None
    """The run of which they do part again."""
    title: Name | None = None
    """Text that the title has in it, whatever the case."""
    created_after: AwareDatetime | None = None
    """Then, or later."""
    created_before: AwareDatetime | None = None
    """Earlier than that; so with the others."""
    finished_after: AwareDatetime | None = None
    finished_before: AwareDatetime | None = None
    due_before: AwareDatetime | None = None

    @property
    def said(self) -> set[str]:
        """The names of the fields that say something."""
        return {name for name in type(self).model_fields if getattr(self, name) not in (None, (), {})}

    def question(self, namespace: str, order: RunOrder = RunOrder.NEWEST) -> str:
        """Return the whole question as text: two are the same if and only if these are."""
        return f"{namespace} {order} {self.model_dump_json(exclude_defaults=True)}"


def run_filter(**values: Any) -> RunFilter:
    """Return a filter, checked; what is None is not said.

    Raises:
        InvalidInput: a field is unknown, of the wrong form or out of bounds, or a version without its workflow; the
            message names it.
    """
    wanted = checked(RunFilter, {name: value for name, value in values.items() if value is not None})
    if wanted.version is not None and wanted.workflow is None:
        raise InvalidInput("version", "is of a workflow: name that too")
    for what in ("created", "finished"):
        after: datetime | None = getattr(wanted, f"{what}_after")
        before: datetime | None = getattr(wanted, f"{what}_before")
        if after is not None and before is not None and after >= before:
            raise InvalidInput(f"{what}_before", f"must be later than {what}_after")
    return wanted

"""RunChanges: what may be said anew about a run that has not ended."""

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from workflow_engine.definitions.policies import Priority
from workflow_engine.errors import InvalidInput
from workflow_engine.model.deadlines import Reminders
from workflow_engine.model.json_values import input_as_json
from workflow_engine.model.moments import Moment
from workflow_engine.model.run_options import METADATA_LIMIT, Text, checked


class RunChanges(BaseModel):
    """What is said anew; what is not said stays as it is."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    priority: Priority | None = None
    """None: each step has its own."""
    title: Annotated[Text, Field(min_length=1, max_length=200)] | None = None
    description: Annotated[Text, Field(max_length=2_000)] | None = None
    tags: Annotated[tuple[Annotated[Text, Field(min_length=1, max_length=100)], ...], Field(max_length=50)] = ()
    """In place of those it has."""
    metadata: dict[str, Any] = Field(default_factory=dict)
    """Merged into what it has, as RFC 7396 says: null takes a key away."""
    due_at: Moment | None = None
    """None: at no time."""
    remind_before: Reminders = ()

    @property
    def said(self) -> dict[str, Any]:
        """What is said, by name."""
        return {name: getattr(self, name) for name in type(self).model_fields if name in self.model_fields_set}


def run_changes(values: Mapping[str, Any]) -> RunChanges:
    """Return changes, checked.

    Raises:
        InvalidInput: nothing is said, or something unknown, of the wrong form or out of bounds; the message names it.
    """
    if not values:
        raise InvalidInput("changes", f"say nothing: name one of {', '.join(RunChanges.model_fields)}")
    changes = checked(RunChanges, dict(values))
    if changes.metadata:
        check_metadata(changes.metadata)
    if "due_at" in changes.model_fields_set and changes.due_at is None and changes.remind_before:
        raise InvalidInput("remind_before", "needs a due_at to be before")
    return changes


def check_metadata(metadata: Mapping[str, Any]) -> str:
    """Return metadata as JSON text.

    Raises:
        InvalidInput: it cannot be stored, or is too large.
    """
    try:
        return input_as_json(metadata, METADATA_LIMIT)
    except InvalidInput as error:
        raise InvalidInput("metadata", error.reason) from None


def merged(present: Any, patch: Any) -> Any:
    """Return a JSON value with a merge patch (RFC 7396) applied to it."""
    if not isinstance(patch, Mapping):
        return patch
    result = dict(present) if isinstance(present, Mapping) else {}
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = merged(result.get(key), value)
    return result

"""What a submitter may say about a run beside its input; each bound checked."""

from datetime import datetime, timedelta
from typing import Annotated, Any, Final, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    TypeAdapter,
    ValidationError,
)

from workflow_engine.definitions.policies import Priority
from workflow_engine.definitions.step import explain_validation
from workflow_engine.errors import InvalidInput
from workflow_engine.model.deadlines import UNCHANGED, Length, Reminders, Unsaid
from workflow_engine.model.json_values import input_as_json
from workflow_engine.model.moments import Moment
from workflow_engine.model.trace_ids import parse_traceparent

METADATA_LIMIT: Final = 65_536
"""Bytes of a run's metadata as JSON."""
LONGEST_GRACE: Final = 86_400
"""Seconds that a step may go on after a cancel."""


def _without_nul(text: str) -> str:
    if "\x00" in text:
        raise ValueError("has a NUL character, which PostgreSQL cannot store")
    text.encode()  # a lone surrogate is a ValueError too
    return text


def _rank(value: Any) -> Any:
    return Priority(value).rank if isinstance(value, str) else value


def _storable(metadata: dict[str, Any]) -> dict[str, Any]:
    try:
        input_as_json(metadata, METADATA_LIMIT)
    except InvalidInput as error:
        raise ValueError(error.reason) from None
    return metadata


def _trace_context(text: str) -> str:
    if parse_traceparent(text) is None:
        raise ValueError("is no W3C traceparent, such as 00-<32 hexadecimal digits>-<16>-01")
    return text


def _grace(value: Any) -> timedelta:
    seconds = value.total_seconds() if isinstance(value, timedelta) else value
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not 0 <= seconds <= LONGEST_GRACE:
        raise ValueError(f"must be seconds or a timedelta, from 0 to {LONGEST_GRACE} s, not {value!r}")
    return timedelta(seconds=seconds)


Text = Annotated[str, AfterValidator(_without_nul)]
_TEXT: TypeAdapter[str] = TypeAdapter(Text)
Options = TypeVar("Options", bound=BaseModel)


class RunOptions(BaseModel):
    """Everything about a run but its workflow and input."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    idempotency_key: Annotated[Text, Field(min_length=1, max_length=200)] | None = None
    correlation_id: Annotated[Text, Field(min_length=1, max_length=200)] | None = None
    title: Annotated[Text, Field(min_length=1, max_length=200)] | None = None
    description: Annotated[Text, Field(max_length=2_000)] | None = None
    tags: Annotated[tuple[Annotated[Text, Field(min_length=1, max_length=100)], ...], Field(max_length=50)] = ()
    metadata: Annotated[dict[str, Any], AfterValidator(_storable)] = Field(default_factory=dict)
    agent: Annotated[Text, Field(min_length=1, max_length=100)] | None = None
    initiator: Annotated[Text, Field(min_length=1, max_length=200)] | None = None
    traceparent: Annotated[Text, AfterValidator(_trace_context)] | None = None
    priority: Annotated[int, BeforeValidator(_rank), Field(ge=0, le=3)] | None = None
    due_at: Moment | None = None
    remind_before: Reminders = ()
    timeout: Length | None = None
    scheduled_at: Moment | None = None
    expires_at: Moment | None = None


class CancelOptions(BaseModel):
    """What somebody may say about a cancel."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    reason: Annotated[Text, Field(max_length=2_000)] | None = None
    actor: Annotated[Text, Field(max_length=200)] | None = None


class GraceOptions(CancelOptions):
    """What somebody may say about a cancel of what runs."""

    grace: Annotated[timedelta, BeforeValidator(_grace)] | None = None


class ResolveOptions(BaseModel):
    """What somebody says about a step that they resolve."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    reason: Annotated[Text, Field(min_length=1, max_length=2_000)]
    actor: Annotated[Text, Field(max_length=200)] | None = None


class RerunOptions(CancelOptions):
    """What somebody may say about a rerun."""

    idempotency_key: Annotated[Text, Field(min_length=1, max_length=200)] | None = None


class DeadlineOptions(BaseModel):
    """What somebody may say anew about when a run is due; what is not said stays."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    due_at: Moment | None = None
    remind_before: Reminders = ()
    actor: Annotated[Text, Field(max_length=200)] | None = None


class SignalOptions(BaseModel):
    """What is said about a signal beside its payload."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Annotated[Text, Field(min_length=1, max_length=100)]
    actor: Annotated[Text, Field(max_length=200)] | None = None
    key: Annotated[Text, Field(min_length=1, max_length=200)] | None = None


def run_options(now: datetime, *, expires_in: float | timedelta | None = None, **values: Any) -> RunOptions:
    """Return the options, checked; ``expires_in`` (seconds or a timedelta) counts from ``now``.

    Raises:
        InvalidInput: an option is unknown, of the wrong form or out of bounds; the message names it.
    """
    if expires_in is not None:
        if values.get("expires_at") is not None:
            raise InvalidInput("expires_in", "says when the run expires, and so does expires_at: give one of them")
        values["expires_at"] = now + _lifetime(expires_in)
    options = checked(RunOptions, values)
    if options.remind_before and options.due_at is None:
        raise InvalidInput("remind_before", "needs a due_at to be before")
    return options


def cancel_options(reason: str | None, actor: str | None) -> CancelOptions:
    """Return why something is asked of a run and by whom, checked.

    Raises:
        InvalidInput: it is of the wrong form or too long; the message names it.
    """
    return checked(CancelOptions, {"reason": reason, "actor": actor})


def deadline_options(*, due_at: datetime | Unsaid | None, remind_before: Any, actor: str | None) -> dict[str, Any]:
    """Return what is said anew about when a run is due, checked, by name; ``UNCHANGED`` stands for what is not said.

    Raises:
        InvalidInput: nothing is said, or something of the wrong form or out of bounds; the message names it.
    """
    said = {"due_at": due_at, "remind_before": remind_before}
    given = {name: value for name, value in said.items() if value is not UNCHANGED}
    if not given:
        raise InvalidInput("due_at", "give a due_at, or remind_before, or both")
    options = checked(DeadlineOptions, {**given, "actor": actor})
    if "due_at" in given and options.due_at is None and options.remind_before:
        raise InvalidInput("remind_before", "needs a due_at to be before")
    return {name: getattr(options, name) for name in (*given, "actor")}


def signal_options(name: str, actor: str | None, key: str | None) -> SignalOptions:
    """Return what is said about a signal, checked.

    Raises:
        InvalidInput: it is of the wrong form or too long; the message names it.
    """
    return checked(SignalOptions, {"name": name, "actor": actor, "key": key})


def check_text(field: str, value: object) -> str:
    """Return ``value`` if it is text that PostgreSQL can compare with.

    Raises:
        InvalidInput: it is no text, or has NUL characters or lone surrogates in it.
    """
    try:
        return _TEXT.validate_python(value, strict=True)
    except ValidationError as error:
        raise InvalidInput(field, error.errors()[0]["msg"]) from None


def checked(model: type[Options], values: dict[str, Any]) -> Options:
    """Return values as a model.

    Raises:
        InvalidInput: one of them is refused; the message names it.
    """
    try:
        return model(**values)
    except ValidationError as error:
        field = ".".join(str(part) for part in error.errors()[0]["loc"])
        raise InvalidInput(field, explain_validation(error)) from None


def _lifetime(expires_in: float | timedelta) -> timedelta:
    try:
        length = expires_in if isinstance(expires_in, timedelta) else timedelta(seconds=expires_in)
    except (TypeError, ValueError, OverflowError):
        raise InvalidInput("expires_in", f"must be seconds or a timedelta, not {expires_in!r}") from None
    if not timedelta(0) < length <= timedelta(days=3650):
        raise InvalidInput("expires_in", f"must be more than 0 s and at most ten years, not {length}")
    return length

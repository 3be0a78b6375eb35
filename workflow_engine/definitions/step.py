"""Step: a handler and its policies."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from pydantic import BaseModel, ValidationError

from workflow_engine.definitions.context import StepContext
from workflow_engine.definitions.handlers import Handler
from workflow_engine.definitions.names import check_name
from workflow_engine.definitions.policies import Priority, Retry
from workflow_engine.errors import DefinitionError, ResultNotStorable

_LONGEST_TIMEOUT = timedelta(days=7)
_LONGEST_RUN = timedelta(days=366)
_LONGEST_STANDSTILL = timedelta(days=30)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Step:
    """One unit of work in a workflow. Made by ``Workflow.step``; callable like the handler it wraps."""

    name: str
    handler: Handler
    after: tuple[str, ...]
    retry: Retry
    timeout: timedelta | None
    heartbeat_timeout: timedelta | None
    queue: str | None
    priority: Priority
    output: type[BaseModel] | None
    description: str

    def __call__(self, ctx: StepContext) -> Any:
        """Call the handler, as a unit test would."""
        return self.handler(ctx)

    def storable(self, output: Any) -> Any:
        """Return ``output`` as plain JSON values, checked against the step's output model if it has one.

        Raises:
            ResultNotStorable: the output breaks the model.
        """
        if self.output is not None:
            try:
                output = self.output.model_validate(output)
            except ValidationError as error:
                raise ResultNotStorable("result", explain_validation(error)) from None
        return output.model_dump(mode="json") if isinstance(output, BaseModel) else output


def explain_validation(error: ValidationError) -> str:
    """Return a validation error as one line: ``order_id: Field required; amount: Input should be …``."""
    return "; ".join(
        f"{'.'.join(str(part) for part in item['loc']) or 'value'}: {item['msg']}" for item in error.errors()
    )


def check_parents(step: str, after: object) -> tuple[str, ...]:
    """Return the names in ``after``: a step, a name, or several of either.

    Raises:
        DefinitionError: something else was given, a parent is named twice, or the step waits for itself.
    """
    items = list(after) if isinstance(after, Sequence) and not isinstance(after, str) else [after]
    names: list[str] = []
    for item in items:
        name = item.name if isinstance(item, Step) else item
        if not isinstance(name, str):
            raise DefinitionError(f"step {step!r}: after= takes steps or their names, not {name!r}")
        names.append(name)
    if len(set(names)) != len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise DefinitionError(f"step {step!r}: after= names {twice!r} twice")
    return tuple(names)


def check_timeout(step: str, timeout: float | timedelta | None, option: str = "timeout") -> timedelta | None:
    """Return the timeout that ``option`` gives as a timedelta.

    Raises:
        DefinitionError: not a positive number of seconds, or over seven days.
    """
    if timeout is None:
        return None
    if isinstance(timeout, bool) or not isinstance(timeout, int | float | timedelta):
        raise DefinitionError(f"step {step!r}: {option} must be seconds or a timedelta, not {timeout!r}")
    seconds = timeout.total_seconds() if isinstance(timeout, timedelta) else timeout
    if not 0 < seconds <= _LONGEST_TIMEOUT.total_seconds():  # infinity and NaN are not, either
        raise DefinitionError(f"step {step!r}: {option} must be more than 0 s and at most 7 days, not {timeout!r}")
    return timedelta(seconds=seconds)


def check_run_timeout(where: str, timeout: float | timedelta | None) -> timedelta | None:
    """Return a workflow's timeout as a timedelta.

    Raises:
        DefinitionError: not a positive number of seconds, or over 366 days.
    """
    if timeout is None:
        return None
    if isinstance(timeout, bool) or not isinstance(timeout, int | float | timedelta):
        raise DefinitionError(f"{where}: timeout must be seconds or a timedelta, not {timeout!r}")
    seconds = timeout.total_seconds() if isinstance(timeout, timedelta) else timeout
    length = timedelta(seconds=seconds) if 0 < seconds <= _LONGEST_RUN.total_seconds() else None
    if not length:  # infinity and NaN are neither, and less than a microsecond is none
        raise DefinitionError(
            f"{where}: timeout must be more than 0 s and at most {_LONGEST_RUN.days} days, not {timeout!r}"
        )
    return length


def check_stale_after(where: str, limit: float | timedelta | None) -> timedelta | None:
    """Return how long nothing may move, as a timedelta.

    Raises:
        DefinitionError: not a number of seconds from 1 to 30 days.
    """
    if limit is None:
        return None
    if isinstance(limit, bool) or not isinstance(limit, int | float | timedelta):
        raise DefinitionError(f"{where}: stale_after must be seconds or a timedelta, not {limit!r}")
    seconds = limit.total_seconds() if isinstance(limit, timedelta) else limit
    if not 1 <= seconds <= _LONGEST_STANDSTILL.total_seconds():
        raise DefinitionError(f"{where}: stale_after must be from 1 s to 30 days, not {limit!r}")
    return timedelta(seconds=seconds)


def check_priority(where: str, priority: str) -> Priority:
    """Return the priority named.

    Raises:
        DefinitionError: no such priority.
    """
    try:
        return Priority(priority)
    except ValueError:
        raise DefinitionError(f"{where}: priority must be one of {', '.join(Priority)}, not {priority!r}") from None


def check_queue(where: str, queue: str | None) -> str | None:
    """Return the queue's name, checked like every other name."""
    return None if queue is None else check_name(f"{where}: queue", queue)


def check_model(where: str, option: str, model: object) -> type[BaseModel] | None:
    """Return the model class, or None where there is none.

    Raises:
        DefinitionError: not a Pydantic model class.
    """
    if model is None:
        return None
    if not (isinstance(model, type) and issubclass(model, BaseModel)):
        raise DefinitionError(f"{where}: {option}= must be a Pydantic model class, not {model!r}")
    return model


def describe(handler: object, description: str | None) -> str:
    """Return the given description, or the first line of the handler's docstring."""
    text = description if description is not None else getattr(handler, "__doc__", None) or ""
    return text.strip().split("\n", 1)[0]

"""Steps that wait: for some time, until a moment, or for a signal. No worker is held meanwhile."""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Final, Self

from workflow_engine.definitions.context import StepContext
from workflow_engine.definitions.names import check_name
from workflow_engine.errors import DefinitionError, InvalidInput

LONGEST_WAIT: Final = timedelta(days=366)

Moment = datetime | Callable[[StepContext], datetime]


@dataclass(frozen=True, slots=True, kw_only=True)
class Wait:
    """What a step waits for: a signal, or nothing but the time."""

    signal: str | None = None
    """The signal's name; None: only the time."""
    seconds: float | None = None
    """How long: the length of a sleep, or the patience with a signal."""
    until: str | None = None
    """The moment, in ISO 8601; None where it is not yet known, or not what is waited for."""

    def as_json(self) -> dict[str, Any]:
        """Return what is said, as JSON values."""
        return {name: value for name, value in asdict(self).items() if value is not None}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Self:
        """Return what ``as_json`` wrote."""
        return cls(**{name: value.get(name) for name in ("signal", "seconds", "until")})


class WaitHandler:
    """The handler of a step that waits: it does nothing but say for what."""

    def __init__(self, wait: Wait, moment: Callable[[StepContext], datetime] | None = None) -> None:
        """Wait as ``wait`` says; until ``moment`` of the context where that is given."""
        self.wait = wait
        self._moment = moment

    def __call__(self, ctx: StepContext) -> Wait:
        """Return what is waited for.

        Raises:
            InvalidInput: what should tell the moment returned none that has a time zone.
        """
        if self._moment is None:
            return self.wait
        moment = self._moment(ctx)
        if not _is_aware(moment):
            raise InvalidInput("wait_until", f"must get a datetime with a time zone, not {moment!r}")
        return replace(self.wait, until=moment.isoformat())


def sleep_handler(step: str, length: float | timedelta) -> WaitHandler:
    """Return the handler of a step that waits for ``length``.

    Raises:
        DefinitionError: it is no number of seconds or timedelta, not more than 0, or over 366 days.
    """
    return WaitHandler(Wait(seconds=_seconds(step, "sleep", length)))


def moment_handler(step: str, moment: Moment) -> WaitHandler:
    """Return the handler of a step that waits until ``moment``, or until what it returns for the context.

    Raises:
        DefinitionError: it is neither a datetime with a time zone nor callable.
    """
    if callable(moment):
        return WaitHandler(Wait(), moment)
    if not _is_aware(moment):
        raise DefinitionError(
            f"step {step!r}: wait_until takes a datetime with a time zone, or a function of the context that returns "
            f"one, not {moment!r}"
        )
    return WaitHandler(Wait(until=moment.isoformat()))


def signal_handler(step: str, signal: str, timeout: float | timedelta | None) -> WaitHandler:
    """Return the handler of a step that waits for a signal, for ``timeout`` at most.

    Raises:
        DefinitionError: the timeout is no number of seconds or timedelta, not more than 0, or over 366 days.
    """
    seconds = None if timeout is None else _seconds(step, "timeout", timeout)
    return WaitHandler(Wait(signal=signal, seconds=seconds))


def check_signal(workflow: str, signal: object) -> str:
    """Return a signal's name, checked like every other name."""
    return check_name(f"workflow {workflow!r}: signal", signal)


def _seconds(step: str, option: str, length: object) -> float:
    if isinstance(length, bool) or not isinstance(length, int | float | timedelta):
        raise DefinitionError(f"step {step!r}: {option} must be seconds or a timedelta, not {length!r}")
    seconds = length.total_seconds() if isinstance(length, timedelta) else float(length)
    if not 0 < seconds <= LONGEST_WAIT.total_seconds():  # infinity and NaN are not, either
        raise DefinitionError(
            f"step {step!r}: {option} must be more than 0 s and at most {LONGEST_WAIT.days} days, not {length!r}"
        )
    return seconds


def _is_aware(moment: object) -> bool:
    return isinstance(moment, datetime) and moment.utcoffset() is not None

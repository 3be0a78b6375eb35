"""What an author may promise about a step: frozen values with their arithmetic."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum
from random import Random

from workflow_engine.errors import DefinitionError, NonRetryable, RetryAfter


class Priority(StrEnum):
    """How urgent a step is among those waiting in the same queue."""

    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"
    CRITICAL = "critical"

    @property
    def rank(self) -> int:
        """0 (low) to 3 (critical): the form in which the database orders it."""
        return list(Priority).index(self)


class FailurePolicy(StrEnum):
    """What the rest of a run does once a step has failed for good."""

    FAIL_FAST = "fail_fast"
    """Cancel what is not running; the run fails when the running steps have ended."""
    CONTINUE = "continue"
    """Skip what waits for the failed step; finish every other branch, then fail."""


ExceptionTypes = type[BaseException] | Sequence[type[BaseException]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Retry:
    """When and how often a failed attempt is tried again.

    The delay before attempt ``n + 1`` is ``base_delay * factor ** (n - 1)`` seconds, at most ``max_delay``; with
    ``jitter`` it is drawn evenly between half of that and all of it ("equal jitter", AWS Architecture Blog,
    "Exponential Backoff and Jitter"), so that many steps failing together do not come back together.

    Raises:
        DefinitionError: a number is out of range; the message names it.
    """

    max_attempts: int = 3
    """Attempts in all: the first, and those lost with their worker, included."""
    base_delay: float = 1.0
    """Seconds before the second attempt."""
    factor: float = 2.0
    max_delay: float = 300.0
    """Seconds no delay exceeds."""
    jitter: bool = True
    retry_on: ExceptionTypes = (Exception,)
    """Only these exceptions are tried again."""
    give_up_on: ExceptionTypes = field(default=())
    """These are not, even where ``retry_on`` covers them."""

    def __post_init__(self) -> None:
        """Check the ranges."""
        _check_range("max_attempts", self.max_attempts, 1, 1_000)
        _check_range("base_delay", self.base_delay, 0, 86_400)
        _check_range("factor", self.factor, 1, 100)
        _check_range("max_delay", self.max_delay, 0, 30 * 86_400)
        for name in ("retry_on", "give_up_on"):
            object.__setattr__(self, name, _exception_types(name, getattr(self, name)))

    def delay_after(self, error: BaseException, attempt: int, random: Random) -> timedelta | None:
        """Return how long to wait after ``attempt`` (from 1) failed with ``error``; None: give up."""
        if attempt >= self.max_attempts or not self._covers(error):
            return None
        if isinstance(error, RetryAfter):
            return error.delay
        seconds = min(self.base_delay * self.factor ** min(attempt - 1, 64), self.max_delay)
        if self.jitter:
            seconds *= 0.5 + random.random() / 2
        return timedelta(seconds=seconds)

    def _covers(self, error: BaseException) -> bool:
        if isinstance(error, NonRetryable):
            return False
        if isinstance(error, RetryAfter):
            return True
        return isinstance(error, tuple(self.retry_on)) and not isinstance(error, tuple(self.give_up_on))  # type: ignore[arg-type]  # __post_init__ made them tuples


def _check_range(name: str, value: object, low: float, high: float) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
        raise DefinitionError(f"Retry: {name} must be a number from {low} to {high:g}, not {value!r}")
    if name == "max_attempts" and not isinstance(value, int):
        raise DefinitionError(f"Retry: max_attempts must be a whole number, not {value!r}")


def _exception_types(name: str, value: object) -> tuple[type[BaseException], ...]:
    types = tuple(value) if isinstance(value, Sequence) else (value,)
    if not all(isinstance(each, type) and issubclass(each, BaseException) for each in types):
        raise DefinitionError(f"Retry: {name} must be exception classes, not {value!r}")
    return types


NO_RETRY = Retry(max_attempts=1)
"""A step's policy unless it names one: a failure is final."""

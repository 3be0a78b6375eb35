"""What the engine needs from whatever runs steps."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final, Protocol

from workflow_engine.errors import BrokerUnavailable
from workflow_engine.ids import RunId
from workflow_engine.model.commands import StepAttempt

RETRY_SOON: Final = timedelta(seconds=1)
"""How soon a step that the broker did not take is due again, where nothing better is known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Dispatch:
    """A step to hand over: of constant size, whatever the size of the run."""

    plan_id: int
    run_id: RunId
    position: int
    attempt: int
    workflow: str
    step: str
    queue: str | None
    priority: int
    timeout: float | None
    """Seconds the handler may run."""
    join: str | None
    """The name of the chord body this step is a part of, if it feeds a join."""
    join_position: int | None
    traceparent: str | None = None
    """The trace context of whoever submitted the run, if it had one."""
    others: tuple[int, ...] = ()
    """Steps of the same run that are sent with it, their first attempts: its worker runs them after it."""

    @property
    def attempts(self) -> list[StepAttempt]:
        """All that it hands over."""
        others = [
            StepAttempt(plan_id=self.plan_id, run_id=self.run_id, position=position, attempt=1)
            for position in self.others
        ]
        return [self.as_attempt, *others]

    @property
    def as_attempt(self) -> StepAttempt:
        """The attempt it is about."""
        return StepAttempt(plan_id=self.plan_id, run_id=self.run_id, position=self.position, attempt=self.attempt)


class NotDispatched(BrokerUnavailable):
    """Some steps could not be handed over; it is worth to try again after ``retry_in``."""

    def __init__(self, undelivered: Sequence[Dispatch], reason: str, retry_in: timedelta = RETRY_SOON) -> None:
        super().__init__(f"{len(undelivered)} step(s) could not be handed to the broker: {reason}")
        self.undelivered = undelivered
        self.reason = reason
        self.retry_in = retry_in


class Dispatcher(Protocol):
    """Hands ready steps to whatever runs them."""

    def dispatch(self, steps: Sequence[Dispatch]) -> None:
        """Send each step once.

        Raises:
            NotDispatched: some were not sent; it names them.
        """

    def is_idle(self, queue: str | None) -> bool:
        """Return whether nothing waits in a queue; False where that cannot be known."""

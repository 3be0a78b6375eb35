"""Take steps back from workers that fell silent."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from workflow_engine.engine import publisher
from workflow_engine.engine.handlers.scope import Scope
from workflow_engine.engine.outcome import Outcome
from workflow_engine.model.commands import RescueSteps, StepAttempt, StepError
from workflow_engine.store.event_log import Fact

SILENT: Final = "its worker has not been heard of for a whole lease"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rescued:
    """What silent workers held."""

    number: int
    left: Sequence[StepAttempt]
    """Those of them that do not simply run again: lost too often, or their run is ending. ``LoseStep`` decides."""
    reason: str = SILENT


def rescue_steps(command: RescueSteps, scope: Scope) -> Outcome:
    """Make the steps that silent workers hold ready again, all at once; the value is a ``Rescued``."""
    error = StepError(error_class="WorkerLost", message=SILENT)
    lost = scope.tx.steps.rescue(command.lease, command.limit, error, scope.loss_limit)
    scope.append(
        [
            Fact(
                run_id=attempt.run_id,
                event=publisher.step_lost(
                    scope.plan(attempt.plan_id)[attempt.position].name, attempt.attempt, times, SILENT
                ),
            )
            for attempt, times in lost
            if times is not None
        ]
    )
    left = [attempt for attempt, times in lost if times is None]
    return Outcome(value=Rescued(number=len(lost), left=left))

"""Tell that runs stand still."""

from workflow_engine.engine import publisher
from workflow_engine.engine.handlers.scope import Scope
from workflow_engine.engine.outcome import Outcome
from workflow_engine.model.commands import TellStandstills
from workflow_engine.store.event_log import Fact


def tell_standstills(command: TellStandstills, scope: Scope) -> Outcome:
    """Fire an event for each standstill of which none was fired; the value is their number."""
    news = scope.tx.standstills.tell([(run.run_id, run.since) for run in command.runs])
    told = [run for run in command.runs if run.run_id in news]
    scope.append(
        [
            Fact(
                run_id=run.run_id,
                event=publisher.run_stale(run.since, run.limit.total_seconds(), run.reason.value, run.step),
            )
            for run in told
        ]
    )
    return Outcome(value=len(told))

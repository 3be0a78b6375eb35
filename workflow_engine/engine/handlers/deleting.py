"""Forget runs that have ended."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from workflow_engine.engine import publisher
from workflow_engine.engine.handlers.scope import Scope
from workflow_engine.engine.outcome import Outcome
from workflow_engine.ids import RunId
from workflow_engine.model.commands import DeleteRuns
from workflow_engine.model.run import FINAL_RUN_STATES, RunState
from workflow_engine.store.event_log import Fact


@dataclass(frozen=True, slots=True, kw_only=True)
class DeletedRuns:
    """What came of a deletion; runs that are in neither were not there."""

    deleted: Sequence[RunId]
    unfinished: Mapping[RunId, RunState]
    """Those that stay, because they have not ended."""


def delete_runs(command: DeleteRuns, scope: Scope) -> Outcome:
    """Forget those of the runs that have ended: their steps, dead letters, signals and timers; not their events."""
    held = scope.tx.changed_runs.lock_whole(command.run_ids)
    ended = [run for run in held if run.state in FINAL_RUN_STATES]
    scope.append(
        [
            Fact(
                run_id=run.run_id,
                event=publisher.run_deleted(scope.plan(run.plan_id), run.state, command.reason, command.actor),
            )
            for run in ended
        ]
    )  # before they are gone: an event has its run's namespace and trace
    scope.tx.changed_runs.delete([run.run_id for run in ended])
    unfinished = {run.run_id: run.state for run in held if run.state not in FINAL_RUN_STATES}
    return Outcome(value=DeletedRuns(deleted=[run.run_id for run in ended], unfinished=unfinished))

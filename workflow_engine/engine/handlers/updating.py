"""Say something else about a run that has not ended."""

from collections.abc import Mapping
from typing import Any, Final

from workflow_engine.engine import publisher
from workflow_engine.engine.handlers.deadline import update_deadline
from workflow_engine.engine.handlers.scope import Scope
from workflow_engine.engine.outcome import Outcome
from workflow_engine.errors import RunEnded, RunNotFound
from workflow_engine.model.commands import UpdateDeadline, UpdateRun
from workflow_engine.model.run import FINAL_RUN_STATES
from workflow_engine.model.run_changes import check_metadata, merged

_DEADLINE: Final = frozenset({"due_at", "remind_before"})


def update_run(command: UpdateRun, scope: Scope) -> Outcome:
    """Change what is said about a run; the value is the names of what is different now.

    Raises:
        RunNotFound: there is no such run.
        RunEnded: it has ended.
        InvalidInput: the merged metadata is too large, or it would have reminders and no ``due_at``.
    """
    held = scope.tx.changed_runs.lock(command.run_id)
    if held is None:
        raise RunNotFound(command.run_id)
    if held.state in FINAL_RUN_STATES:
        raise RunEnded(command.run_id, held.state)
    said = command.changes.said
    now = _now(held.said, said)
    changed = [name for name, value in now.items() if value != held.said[name]]
    if changed:
        scope.tx.changed_runs.update(command.run_id, now)
        scope.publish(command.run_id, publisher.run_updated(scope.plan(held.plan_id), changed, command.actor))
    if deadline := {name: value for name, value in said.items() if name in _DEADLINE}:
        moved = update_deadline(UpdateDeadline(run_id=command.run_id, **deadline, actor=command.actor), scope)
        changed += sorted(deadline) if moved.value else ()
    return Outcome(value=tuple(sorted(changed)))


def _now(present: Mapping[str, Any], said: Mapping[str, Any]) -> dict[str, Any]:
    """Return all that is said about a run from now on."""
    now = {name: said.get(name, value) for name, value in present.items()}
    if "metadata" in said:
        now["metadata"] = merged(present["metadata"], said["metadata"])
        check_metadata(now["metadata"])
    return now

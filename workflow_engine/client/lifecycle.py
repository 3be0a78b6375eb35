"""What may be asked of a run once it is there: cancel, pause, resume, retry, rerun, resolve."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from workflow_engine.definitions.names import did_you_mean
from workflow_engine.engine.handlers.deleting import DeletedRuns
from workflow_engine.engine.handlers.retrying import Retried
from workflow_engine.engine.handlers.run import Submitted
from workflow_engine.engine.processor import Processor
from workflow_engine.errors import RunNotFound, StepNotFound, WrongState
from workflow_engine.ids import RunId, new_run_id
from workflow_engine.model.commands import (
    CancelRun,
    DeleteRuns,
    PauseRun,
    RerunRun,
    ResolveStep,
    ResumeRun,
    RetrySteps,
    UpdateRun,
)
from workflow_engine.model.json_values import result_as_json
from workflow_engine.model.run_changes import run_changes
from workflow_engine.model.run_options import (
    CancelOptions,
    GraceOptions,
    RerunOptions,
    ResolveOptions,
    cancel_options,
    check_text,
    checked,
)
from workflow_engine.plan.plan import Plan
from workflow_engine.store.transaction import Store

UNFINISHED: Final = "only what has ended can be deleted; cancel it first"


@dataclass(frozen=True, slots=True, kw_only=True)
class Lifecycle:
    """Changes one run; each call is one transaction, and safe to repeat."""

    run_id: RunId
    store: Store
    processor: Processor

    def cancel(self, **said: Any) -> bool:
        """See ``RunHandle.cancel``."""
        options = checked(GraceOptions, said)
        return bool(self.processor.execute(CancelRun(run_id=self.run_id, **dict(options))))

    def pause(self, **said: Any) -> bool:
        """See ``RunHandle.pause``."""
        options = checked(CancelOptions, said)
        return bool(self.processor.execute(PauseRun(run_id=self.run_id, **dict(options))))

    def resume(self, **said: Any) -> bool:
        """See ``RunHandle.resume``."""
        options = checked(CancelOptions, said)
        return bool(self.processor.execute(ResumeRun(run_id=self.run_id, **dict(options))))

    def retry(self, steps: Sequence[str], **said: Any) -> Retried:
        """See ``RunHandle.retry``."""
        options = checked(CancelOptions, said)
        plan = self._plan()
        positions = [self._position(plan, step) for step in dict.fromkeys(steps)]
        retried: Retried = self.processor.execute(RetrySteps(run_id=self.run_id, positions=positions, **dict(options)))
        return retried

    def resolve(self, step: str, result: Any, limit: int, **said: Any) -> bool:
        """See ``RunHandle.resolve``; the result has at most ``limit`` bytes."""
        options = checked(ResolveOptions, said)
        text = result_as_json(result, limit)
        position = self._position(self._plan(), step)
        command = ResolveStep(run_id=self.run_id, position=position, result=text, **dict(options))
        return bool(self.processor.execute(command))

    def rerun(self, step: str, **said: Any) -> Submitted:
        """See ``RunHandle.rerun``."""
        options = checked(RerunOptions, said)
        position = self._position(self._plan(), step)
        meaning = hashlib.sha256(f"rerun {self.run_id} from {position}".encode()).hexdigest()
        command = RerunRun(
            run_id=new_run_id(), of=self.run_id, position=position, input_digest=meaning, **dict(options)
        )
        submitted: Submitted = self.processor.execute(command)
        return submitted

    def update(self, changes: Mapping[str, Any], actor: str | None) -> tuple[str, ...]:
        """See ``RunHandle.update``."""
        said = cancel_options(None, actor)
        command = UpdateRun(run_id=self.run_id, changes=run_changes(changes), actor=said.actor)
        changed: tuple[str, ...] = self.processor.execute(command)
        return changed

    def delete(self, **said: Any) -> None:
        """See ``RunHandle.delete``."""
        options = checked(CancelOptions, said)
        done: DeletedRuns = self.processor.execute(DeleteRuns(run_ids=[self.run_id], **dict(options)))
        if state := done.unfinished.get(self.run_id):
            raise WrongState(f"run {self.run_id}", state, UNFINISHED)
        if not done.deleted:
            raise RunNotFound(self.run_id)

    def _plan(self) -> Plan:
        with self.store.single() as tx:
            plan_id = tx.views.plan_of(self.run_id)
        if plan_id is None:
            raise RunNotFound(self.run_id)
        return self.processor.plan(plan_id)

    def _position(self, plan: Plan, step: str) -> int:
        try:
            return plan.positions[check_text("step", step)]
        except KeyError:
            raise StepNotFound(self.run_id, step, did_you_mean(step, plan.positions)) from None

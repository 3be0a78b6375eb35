"""Runs go on although no worker is there: what a worker would say is said by hand."""

from typing import Any

from tests.support.recording import A_CLAIM, WORKER
from workflow_engine import Engine
from workflow_engine.ids import RunId
from workflow_engine.model.commands import ClaimStep, CompleteStep, FailStep, ProcessReadiness, StepError


class Walk:
    """A worker's work."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._processor = engine.processor

    def claim(self, run_id: str, step: str) -> None:
        """Begin the next attempt of a step."""
        self._processor.execute(ClaimStep(**self._key(run_id, step), worker_id=WORKER, worker_name="w1@host"))

    def complete(self, run_id: str, step: str, result: str = "null") -> None:
        """Claim a step, and let it succeed."""
        self.claim(run_id, step)
        self._processor.execute(CompleteStep(**self._key(run_id, step), result=result, seconds=0.1, claim=A_CLAIM))

    def fail(self, run_id: str, step: str) -> None:
        """Claim a step, and let it fail for good."""
        self.claim(run_id, step)
        error = StepError(error_class="CardDeclined", message="insufficient funds")
        self._processor.execute(FailStep(**self._key(run_id, step), error=error, retry_in=None))

    def hand_out(self) -> None:
        """Dispatch what is ready, as a coordinator would."""
        self._processor.execute(ProcessReadiness(limit=1_000))

    def finish(self, run_id: str, *steps: str) -> None:
        """Let steps succeed one after another."""
        for step in steps:
            self.complete(run_id, step, f'"{step} done"')

    def _key(self, run_id: str, step: str) -> dict[str, Any]:
        with self._engine.store.single() as tx:
            plan_id = tx.views.plan_of(RunId(run_id))
            (row,) = [each for each in tx.views.steps_of(RunId(run_id)) if each.name == step]
        return {"plan_id": plan_id, "run_id": RunId(run_id), "position": row.position, "attempt": row.attempt}

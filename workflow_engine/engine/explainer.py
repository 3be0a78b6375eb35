"""Explainer: reads what an explanation of runs needs, a fixed number of statements for however many runs."""

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Final

from workflow_engine.engine.explanation import Situation, explain
from workflow_engine.engine.leader import ROLE
from workflow_engine.ids import RunId
from workflow_engine.model.explanation import Explanation
from workflow_engine.model.run import FINAL_RUN_STATES
from workflow_engine.model.step import StepState
from workflow_engine.plan.plan import Plan
from workflow_engine.store.explanations import QueueQuestion, RunFacts, StepFacts
from workflow_engine.store.transaction import Store, Transaction

EXPLAINED_STEPS: Final = 10_000
"""Steps of a run that are explained, those that succeeded not counted."""
_STEPS_IN_A_LIST: Final = 100
_NOT_SUCCEEDED: Final = tuple(state for state in StepState if state is not StepState.SUCCEEDED)
_AT_WORK: Final = (
    StepState.READY,
    StepState.RETRYING,
    StepState.DISPATCHED,
    StepState.RUNNING,
    StepState.SUSPENDED,
    StepState.FAILED,
)
"""Those that may hold a run up; steps that wait for them only do so because of them."""


class Explainer:
    """Says why runs are where they are."""

    def __init__(
        self,
        store: Store,
        plan: Callable[[int], Plan],
        *,
        lease: timedelta = timedelta(seconds=15),
        default_queue: str = "celery",
    ) -> None:
        """Read from ``store``; ``plan`` returns a plan by its id.

        Args:
            store: where the runs are.
            plan: returns a plan by its id.
            lease: how long a living worker may be silent.
            default_queue: where steps go that name no queue.
        """
        self._store = store
        self._plan = plan
        self._lease = lease
        self._default_queue = default_queue

    def explain(self, run_id: RunId) -> Explanation | None:
        """Return why a run is where it is, with all its steps; None if it is not there.

        Raises:
            DatabaseUnavailable: PostgreSQL does not answer.
        """
        with self._store.snapshot() as tx:
            found = self._explain(tx, [run_id], _NOT_SUCCEEDED, EXPLAINED_STEPS)
        return found[0] if found else None

    def brief(self, tx: Transaction, run_ids: Sequence[RunId]) -> dict[RunId, Explanation]:
        """Return what holds runs up, with those of their steps that may, up to a hundred of each run."""
        found = self._explain(tx, run_ids, _AT_WORK, _STEPS_IN_A_LIST) if run_ids else []
        return {each.run_id: each for each in found}

    def _explain(
        self, tx: Transaction, run_ids: Sequence[RunId], states: Sequence[StepState], limit: int
    ) -> list[Explanation]:
        rows = tx.explanations
        runs = rows.runs(run_ids, ROLE)
        plans = {run.plan_id: self._plan(run.plan_id) for run in runs}
        steps = rows.steps([run.run_id for run in runs], states, limit)
        workers, loads = rows.workers(), rows.loads(_questions(runs, plans, steps))
        told, timers = rows.told([run.run_id for run in runs]), rows.timers([run.run_id for run in runs])
        made = []
        for run in runs:
            own = [step for step in steps if step.run_id == run.run_id]
            made.append(
                Situation(
                    run=run,
                    plan=plans[run.plan_id],
                    steps=own,
                    workers=workers,
                    loads=loads,
                    told=[fact for fact in told if fact.run_id == run.run_id],
                    timers=[timer for timer in timers if timer.run_id == run.run_id],
                    lease=self._lease,
                    default_queue=self._default_queue,
                    is_complete=len(own) < limit,
                )
            )
        return [explain(situation) for situation in made]


def _questions(runs: Sequence[RunFacts], plans: dict[int, Plan], steps: Sequence[StepFacts]) -> list[QueueQuestion]:
    """Return what to ask of the queues: of each run and queue, what is before the first step that was sent to it."""
    plan_of = {run.run_id: plans[run.plan_id] for run in runs if run.state not in FINAL_RUN_STATES}
    first: dict[tuple[RunId, str | None], datetime] = {}
    for step in steps:
        if step.state is StepState.DISPATCHED and step.dispatched_at and step.run_id in plan_of:
            key = (step.run_id, plan_of[step.run_id][step.position].queue)
            first[key] = min(first.get(key, step.dispatched_at), step.dispatched_at)
    return [QueueQuestion(run_id=run_id, queue=queue, since=since) for (run_id, queue), since in first.items()]

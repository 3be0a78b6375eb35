"""Plans by id, read once by each process; a plan never changes."""

from collections.abc import Sequence

from workflow_engine.engine.dispatcher import Dispatch
from workflow_engine.ids import RunId
from workflow_engine.plan.plan import Plan
from workflow_engine.store.plans import RegisteredPlan
from workflow_engine.store.transaction import Store, Transaction


class PlanCache:
    """Every plan this process has met."""

    def __init__(self) -> None:
        """Start empty."""
        self._plans: dict[int, Plan] = {}

    def keep(self, registered: RegisteredPlan) -> None:
        """Remember a plan that was just registered or read."""
        self._plans.setdefault(registered.id, registered.plan)

    def get(self, plan_id: int, source: Store | Transaction) -> Plan:
        """Return a plan, reading it the first time."""
        plan = self._plans.get(plan_id)
        if plan is None:
            if isinstance(source, Transaction):
                plan = source.plans.get(plan_id).plan
            else:
                with source.single() as tx:
                    plan = tx.plans.get(plan_id).plan
            self._plans[plan_id] = plan
        return plan


def dispatches(
    plan: Plan,
    plan_id: int,
    run_id: RunId,
    attempts: Sequence[tuple[int, int]],
    run_priority: int | None = None,
) -> tuple[Dispatch, ...]:
    """Return what to send for steps of one run, given as (position, attempt); its own priority wins."""
    made = []
    for position, attempt in attempts:
        step = plan[position]
        join = plan.joins.get(position)
        made.append(
            Dispatch(
                plan_id=plan_id,
                run_id=run_id,
                position=position,
                attempt=attempt,
                workflow=plan.workflow,
                step=step.name,
                queue=step.queue,
                priority=step.priority if run_priority is None else run_priority,
                timeout=step.timeout,
                join=None if join is None else plan[join].name,
                join_position=join,
            )
        )
    return tuple(made)

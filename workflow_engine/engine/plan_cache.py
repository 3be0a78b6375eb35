"""Plans by id, read once by each process; a plan never changes."""

from collections.abc import Sequence

from workflow_engine.engine import publisher
from workflow_engine.engine.dispatcher import Dispatch
from workflow_engine.ids import RunId
from workflow_engine.plan.plan import Plan
from workflow_engine.store.arrays import integer_array, text_array
from workflow_engine.store.plans import RegisteredPlan
from workflow_engine.store.steps import PlannedWrite
from workflow_engine.store.transaction import Store, Transaction


class PlanCache:
    """Every plan this process has met."""

    def __init__(self) -> None:
        """Start empty."""
        self._plans: dict[int, Plan] = {}
        self._writes: dict[tuple[int, int], PlannedWrite] = {}

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

    def planned_write(self, plan_id: int, position: int, source: Transaction) -> PlannedWrite:
        """Return what a planned step's hot statements say in every run, made the first time."""
        write = self._writes.get((plan_id, position))
        if write is None:
            write = _planned_write(self.get(plan_id, source), position)
            self._writes[plan_id, position] = write
        return write


def _planned_write(plan: Plan, position: int) -> PlannedWrite:
    step = plan[position]
    queues = [(plan[child].name, plan[child].queue) for child in step.children]
    return PlannedWrite(
        step=step.name,
        is_root=step.is_root,
        is_sink=step.is_sink,
        parents=integer_array(step.parents),
        children=integer_array(step.children),
        child_names=text_array(name for name, _ in queues),
        child_dispatched=text_array(
            publisher.step_dispatched(name, 1, queue, "step_completed").data for name, queue in queues
        ),
        run_started=publisher.run_started(plan.workflow, plan.version).data,
    )


def dispatches(
    plan: Plan,
    plan_id: int,
    run_id: RunId,
    attempts: Sequence[tuple[int, int]],
    run_priority: int | None = None,
    traceparent: str | None = None,
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
                traceparent=traceparent,
            )
        )
    return tuple(made)

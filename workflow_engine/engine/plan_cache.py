"""Plans by id, read once by each process; a plan never changes."""

from collections.abc import Sequence
from typing import Any

from workflow_engine.engine import publisher
from workflow_engine.engine.dispatcher import Dispatch
from workflow_engine.ids import RunId
from workflow_engine.plan.plan import Plan, PlannedStep
from workflow_engine.store.arrays import integer_array, text_array
from workflow_engine.store.hot_steps import PlannedWrite
from workflow_engine.store.plans import RegisteredPlan
from workflow_engine.store.runs import RootSteps
from workflow_engine.store.transaction import Store, Transaction


class PlanCache:
    """Every plan this process has met."""

    def __init__(self) -> None:
        """Start empty."""
        self._plans: dict[int, Plan] = {}
        self._writes: dict[tuple[int, int], PlannedWrite] = {}
        self._roots: dict[int, RootSteps] = {}

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

    def root_steps(self, plan_id: int, source: Transaction) -> RootSteps:
        """Return what is stored about the roots of each of a plan's runs, made the first time."""
        roots = self._roots.get(plan_id)
        if roots is None:
            roots = self._roots[plan_id] = _root_steps(self.get(plan_id, source))
        return roots


def _root_steps(plan: Plan) -> RootSteps:
    return RootSteps(
        names=plan.names(plan.roots),
        dispatched=[
            publisher.step_dispatched(plan[root].name, 1, plan[root].queue, "submit").data for root in plan.roots
        ],
        sinks=len(plan.sinks),
    )


def _planned_write(plan: Plan, position: int) -> PlannedWrite:
    step = plan[position]
    return PlannedWrite(
        step=step.name,
        is_root=step.is_root,
        is_sink=step.is_sink,
        children_at_most=min(len(step.children), 2),
        parents=integer_array(step.parents),
        children=_children([plan[child] for child in step.children]),
        run_started=publisher.run_started(plan.workflow, plan.version).data,
    )


def _children(steps: Sequence[PlannedStep]) -> dict[str, Any]:
    names = [step.name for step in steps]
    payloads = [publisher.step_dispatched(step.name, 1, step.queue, "step_completed").data for step in steps]
    if len(steps) == 1:
        return {"child": steps[0].position, "child_name": names[0], "child_data": payloads[0]}
    return {
        "children": integer_array(step.position for step in steps),
        "child_names": text_array(names),
        "children_data": text_array(payloads),
    }


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

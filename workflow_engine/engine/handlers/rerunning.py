"""Do part of a run that has ended again, in a new one."""

from collections.abc import Collection, Mapping

from workflow_engine.engine import publisher
from workflow_engine.engine.handlers.run import Submitted
from workflow_engine.engine.handlers.scope import Scope
from workflow_engine.engine.outcome import Outcome
from workflow_engine.errors import IdempotencyConflict, RunNotFound, WrongState
from workflow_engine.model.commands import RerunRun
from workflow_engine.model.run import FINAL_RUN_STATES
from workflow_engine.plan.plan import Plan
from workflow_engine.store.rerunning import REUSED


def rerun_run(command: RerunRun, scope: Scope) -> Outcome:
    """Store a run of the same plan and input that runs a step again, all that comes after it, and what had not
    succeeded; the coordinator hears of it at the commit. The value is a ``Submitted``.

    Raises:
        RunNotFound: there is no such run.
        WrongState: it has not ended.
        IdempotencyConflict: the key is that of another run.
    """
    earlier = scope.tx.runs.lock(command.of)  # nobody retries it meanwhile
    if earlier is None:
        raise RunNotFound(command.of)
    if earlier.state not in FINAL_RUN_STATES:
        raise WrongState(
            f"run {command.of}", earlier.state, "only what has ended can be rerun; wait for it or cancel it"
        )
    plan = scope.plan(earlier.plan_id)
    reused = scope.tx.rerunning.succeeded(command.of) - {command.position, *plan.descendants([command.position])}
    sinks = sum(sink not in reused for sink in plan.sinks)
    if not scope.tx.rerunning.store(command, _missing(plan, reused), sinks=sinks):
        return Outcome(value=_first_with_this_key(command, plan, scope))
    _tell(command, plan, sorted(reused), scope)
    return Outcome(value=Submitted(run_id=command.run_id, created=True))


def _missing(plan: Plan, reused: Collection[int]) -> Mapping[int, int]:
    return {
        step.position: REUSED if step.position in reused else sum(parent not in reused for parent in step.parents)
        for step in plan
    }


def _tell(command: RerunRun, plan: Plan, reused: Collection[int], scope: Scope) -> None:
    # It begins at once: the worker that claims a step lets a run begin only if the step is one of the plan's roots.
    scope.tx.runs.start(command.run_id)
    scope.publish(
        command.run_id,
        publisher.run_submitted(plan, command.actor),
        publisher.run_repeated(
            plan,
            rerun_of=command.of,
            step=plan[command.position].name,
            reused=len(reused),
            reason=command.reason,
            actor=command.actor,
        ),
        publisher.run_started(plan.workflow, plan.version),
        *(publisher.step_reused(plan[position].name, command.of) for position in reused),
    )


def _first_with_this_key(command: RerunRun, plan: Plan, scope: Scope) -> Submitted:
    key = command.idempotency_key or ""
    owner = scope.tx.runs.find_by_key(plan.namespace, plan.workflow, key)
    if owner is None or owner.input_digest != command.input_digest:
        raise IdempotencyConflict(key, "" if owner is None else owner.run_id)
    return Submitted(run_id=owner.run_id, created=False)

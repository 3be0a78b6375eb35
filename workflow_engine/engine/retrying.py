"""What becomes of a run whose failed steps are retried. Decides; moves nothing."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from workflow_engine.model.step import StepState
from workflow_engine.plan.plan import Plan
from workflow_engine.store.hot_steps import Settle
from workflow_engine.store.retrying import LockedStep

_ENDED_BY_A_FAILURE = frozenset({StepState.SKIPPED, StepState.CANCELLED})


@dataclass(frozen=True, slots=True, kw_only=True)
class WayBack:
    """Where the steps of a run go, and what the run is left with."""

    requeued: Sequence[LockedStep]
    """Those that are asked for, then those that were cancelled with nothing left to wait for."""
    restored: Mapping[int, int]
    """Those that wait again: for how many parents, by position."""
    sinks_left: int
    level: Settle
    error: Mapping[str, Any] | None
    """The first failure that nobody asked to retry."""


def way_back(plan: Plan, steps: Sequence[LockedStep], wanted: Collection[int]) -> WayBack:
    """Return what to do so that the failed steps ``wanted`` run again, and all that ended because of them.

    What depends on a step that stays failed stays as it is; the run then ends as failed once more.
    """
    still_failed = [step for step in steps if step.state is StepState.FAILED and step.position not in wanted]
    blocked = set(plan.descendants([step.position for step in still_failed]))
    succeeded = {step.position for step in steps if step.state is StepState.SUCCEEDED}
    missing = {
        step.position: sum(parent not in succeeded for parent in plan[step.position].parents)
        for step in steps
        if step.state in _ENDED_BY_A_FAILURE and step.position not in blocked
    }
    asked = [step for step in steps if step.position in wanted]
    with_them = [step for step in steps if missing.get(step.position) == 0]
    return WayBack(
        requeued=[*asked, *with_them],
        restored={position: number for position, number in missing.items() if number},
        sinks_left=sum(sink not in succeeded for sink in plan.sinks),
        level=Settle.ASK if still_failed else Settle.NO,
        error=_first_failure(plan, still_failed),
    )


def _first_failure(plan: Plan, failed: Sequence[LockedStep]) -> dict[str, Any] | None:
    if not failed:
        return None
    first = min(failed, key=lambda step: (step.finished_at is None, step.finished_at, step.position))
    error = first.error or {}
    said = {name: error.get(name, "") for name in ("error_class", "message")}
    return {"step": plan[first.position].name, **said}

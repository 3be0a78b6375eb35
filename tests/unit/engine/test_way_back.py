"""What becomes of a run whose failed steps are retried: decided without a database."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import pytest

from tests.support.recording import graph
from workflow_engine import compile_plan
from workflow_engine.engine.retrying import WayBack, way_back
from workflow_engine.model.step import FINAL_STEP_STATES, StepState
from workflow_engine.store.hot_steps import Settle
from workflow_engine.store.retrying import LockedStep

NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)
EDGES: dict[str, Sequence[str]] = {"a": (), "b": (), "ax": ("a",), "bx": ("b",), "all": ("ax", "bx"), "lone": ()}
PLAN = compile_plan(graph(EDGES))


def back(wanted: Sequence[str], **states: str) -> WayBack:
    """Return the way back of a run whose steps are in these states, those that failed one after the other."""
    held = []
    for step in PLAN:
        state = StepState(states[step.name])
        failed = {"error_class": f"E{step.position}", "message": step.name, "traceback": "…"}
        held.append(
            LockedStep(
                position=step.position,
                state=state,
                attempt=1,
                error=failed if state is StepState.FAILED else None,
                finished_at=NOON + timedelta(seconds=step.position) if state in FINAL_STEP_STATES else None,
            )
        )
    return way_back(PLAN, held, {PLAN.positions[name] for name in wanted})


def names(way: WayBack) -> tuple[list[str], dict[str, int]]:
    requeued = PLAN.names(step.position for step in way.requeued)
    return requeued, {PLAN[position].name: missing for position, missing in way.restored.items()}


def test_what_ended_because_of_the_only_failure_comes_back() -> None:
    way = back(["a"], a="failed", b="succeeded", ax="cancelled", bx="cancelled", all="cancelled", lone="cancelled")

    requeued, restored = names(way)
    assert requeued[0] == "a"
    assert set(requeued) == {"a", "bx", "lone"}
    assert restored == {"ax": 1, "all": 2}
    assert (way.sinks_left, way.level, way.error) == (2, Settle.NO, None)


@pytest.mark.parametrize("ended", ["skipped", "cancelled"])
def test_what_depends_on_another_failure_stays(ended: str) -> None:
    way = back(["a"], a="failed", b="failed", ax=ended, bx=ended, all=ended, lone="succeeded")

    assert names(way) == (["a"], {"ax": 1})
    assert way.level is Settle.ASK
    assert way.error == {"step": "b", "error_class": f"E{PLAN.positions['b']}", "message": "b"}


def test_of_several_failures_that_stay_the_first_is_the_runs() -> None:
    way = back(["b"], a="failed", b="failed", ax="skipped", bx="skipped", all="skipped", lone="failed")

    assert way.error is not None
    assert way.error["step"] == min(("a", "lone"), key=PLAN.positions.__getitem__)
    assert names(way) == (["b"], {"bx": 1})


@pytest.mark.parametrize("state", [state.value for state in StepState if state not in FINAL_STEP_STATES])
def test_what_has_not_ended_is_left_alone(state: str) -> None:
    way = back(["a"], a="failed", b="succeeded", ax="skipped", bx=state, all="skipped", lone="succeeded")

    assert names(way) == (["a"], {"ax": 1, "all": 2})
    assert way.sinks_left == 1

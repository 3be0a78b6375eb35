"""With which step a process goes on."""

from collections.abc import Iterable
from types import SimpleNamespace
from typing import cast
from uuid import uuid4

import pytest

from workflow_engine import StepContext, Workflow
from workflow_engine.celery_app.continuing import _MOST_PARENTS, Continuing, Line
from workflow_engine.celery_app.durations import Durations
from workflow_engine.celery_app.messages import step_headers
from workflow_engine.celery_app.runtime import StepRuntime
from workflow_engine.engine.plan_cache import dispatches
from workflow_engine.ids import RunId
from workflow_engine.model.commands import FollowStep
from workflow_engine.plan.compiler import compile_plan
from workflow_engine.plan.plan import Plan


def join_of(width: int) -> Workflow:
    """Return so many roots, and one step that waits for all of them."""
    workflow = Workflow("join")
    roots = [workflow.step(name=f"root-{number}")(_nothing) for number in range(width)]
    workflow.step(name="join", after=roots)(_nothing)
    return workflow


def _nothing(ctx: StepContext) -> None:
    pass


def follow(position: int, unknown: Iterable[int]) -> FollowStep:
    return FollowStep(position=position, worker_id=str(uuid4()), worker_name="w", unknown=tuple(unknown))


def line_of(plan: Plan) -> Line:
    """Return the line of the first root's message."""
    (first,) = dispatches(plan, 1, RunId(str(uuid4())), [(0, 1)])
    runtime = SimpleNamespace(durations=Durations(), follow=follow)
    return Line(cast(StepRuntime, runtime), Continuing(steps=16, seconds=1.0), step_headers(first))


@pytest.mark.parametrize(("width", "follows"), [(1, True), (_MOST_PARENTS, True), (_MOST_PARENTS + 1, False)])
def test_a_step_with_very_many_parents_is_not_asked_for_with_each_of_them(width: int, follows: bool) -> None:
    workflow = join_of(width)
    plan = compile_plan(workflow)

    onward = line_of(plan).onward(0, plan, workflow, "1", 0.001)

    if follows:
        assert onward.follow is not None
        assert onward.follow.position == width
        assert sorted(onward.follow.unknown) == list(range(1, width))
    else:
        assert onward.follow is None

"""With which step a process goes on."""

from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from threading import Event
from types import SimpleNamespace
from typing import Any, cast
from uuid import uuid4

import pytest
from celery.app.trace import trace_ok_t

from workflow_engine import StepContext, Workflow
from workflow_engine.celery_app.continuing import _MOST_PARENTS, Continuing, Line
from workflow_engine.celery_app.durations import Durations
from workflow_engine.celery_app.messages import OTHERS, step_headers
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


def line_of(plan: Plan, others: Sequence[int] = (), **runtime: Any) -> Line:
    """Return the line of the first root's message, which is for others too."""
    (first,) = dispatches(plan, 1, RunId(str(uuid4())), [(0, 1)])
    about = {
        "durations": Durations(),
        "follow": follow,
        "headers": lambda attempt, _: {"id": attempt.position},
        "kept_steps": SimpleNamespace(tell=lambda *_: None),
        "long_steps": SimpleNamespace(begin=lambda *_: None, end=lambda *_: None),
        **runtime,
    }
    limits = Continuing(steps=16, seconds=3_600.0, siblings=True)
    return Line(cast(StepRuntime, SimpleNamespace(**about)), limits, {**step_headers(first), OTHERS: list(others)})


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


@pytest.mark.parametrize("width", [1, 3])
def test_a_step_that_the_worker_does_not_have_is_left_to_others(width: int) -> None:
    whole = Workflow("fan")
    first = whole.step(name="first")(_nothing)
    for number in range(width):
        whole.step(name=f"part-{number}", after=[first])(_nothing)
    part = Workflow("fan")
    part.step(name="first")(_nothing)
    plan = compile_plan(whole)

    alone = line_of(plan).onward(0, plan, part, "1", 0.001)
    behind = line_of(plan, others=[1]).onward(0, plan, part, "1", 0.001)

    assert (alone.follow, alone.kept, alone.short) == (None, frozenset(), frozenset())
    assert behind.follow is None


@pytest.fixture
def threads() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(2) as made:
        yield made


@pytest.mark.parametrize("is_sent", [True, False])
def test_a_line_ends_when_what_waited_is_sent_or_has_run(threads: ThreadPoolExecutor, is_sent: bool) -> None:
    """For its message is acknowledged then."""
    plan = compile_plan(join_of(3))
    begun, go_on = Event(), Event()

    def send(*_: object) -> None:
        begun.set()
        assert go_on.wait(10)
        if not is_sent:
            raise OSError("no way to the broker")

    line = line_of(plan, others=[1, 2], send=send)
    sending = threads.submit(line._send_waiting)
    assert begun.wait(10)
    following = threads.submit(line.next_request, trace_ok_t(None, None, 0.1, "None"))
    assert not following.done()
    go_on.set()

    request = following.result(10)

    assert (request is None) == is_sent
    assert is_sent or request["id"] == 1
    assert (sending.exception(10) is None) == is_sent

"""A dispatcher that keeps what it is told to send, and a way to walk a run by hand."""

from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

from workflow_engine import Workflow, compile_plan
from workflow_engine.engine.dispatcher import Dispatch, NotDispatched
from workflow_engine.engine.processor import Processor
from workflow_engine.ids import RunId, new_run_id
from workflow_engine.model.commands import (
    ClaimStep,
    CompleteStep,
    FailStep,
    FollowStep,
    LoseStep,
    Onward,
    StepError,
    SubmitRun,
)
from workflow_engine.model.records import AttemptTimes, Claim, ClaimedStep, RunTimes
from workflow_engine.model.run_options import RunOptions
from workflow_engine.store.transaction import Store


@dataclass
class RecordingDispatcher:
    """The broker of tests without one."""

    sent: deque[Dispatch] = field(default_factory=deque)
    is_down: bool = False

    def dispatch(self, steps: Sequence[Dispatch]) -> None:
        if self.is_down:
            raise NotDispatched(steps, "it is down")
        self.sent.extend(steps)

    def is_idle(self, queue: str | None) -> bool:
        return True

    def take(self, step: str) -> Dispatch:
        """Return and forget the message for a step."""
        for message in self.sent:
            if message.step == step:
                self.sent.remove(message)
                return message
        raise AssertionError(f"{step!r} was not sent; sent: {[message.step for message in self.sent]}")


WORKER = str(uuid4())


def key(message: Dispatch) -> dict[str, Any]:
    """Return what names the attempt of a message."""
    return {
        "plan_id": message.plan_id,
        "run_id": message.run_id,
        "position": message.position,
        "attempt": message.attempt,
    }


_MOMENT = datetime(2026, 1, 31, 12, tzinfo=UTC)
A_CLAIM = Claim(
    attempt_times=AttemptTimes(dispatched_at=_MOMENT, started_at=_MOMENT),
    run_times=RunTimes(submitted_at=_MOMENT, started_at=_MOMENT),
    correlation_id="a-correlation-id",
    traceparent=None,
    run_priority=None,
    run_begun=False,
)
"""What a completion says again of its claim, where a test does not care."""


def claim(processor: Processor, message: Dispatch, worker: str = WORKER) -> ClaimedStep | None:
    """Claim as a worker does that got the message."""
    answer: ClaimedStep | None = processor.execute(ClaimStep(**key(message), worker_id=worker, worker_name="test"))
    return answer


def complete(processor: Processor, message: Dispatch, result: str = "null") -> Any:
    """Complete as a worker does whose handler returned."""
    return processor.execute(CompleteStep(**key(message), result=result, seconds=0.1, claim=A_CLAIM))


def go_on(processor: Processor, message: Dispatch, step: str, worker: str = WORKER) -> Dispatch:
    """Complete a step as a worker does that goes on with another one; return the message that this one has not."""
    plan = processor.plan(message.plan_id)
    position = plan.positions[step]
    follow = FollowStep(position=position, worker_id=worker, worker_name="w")
    onward = Onward(follow=follow, kept=frozenset(range(len(plan))))
    answer = processor.execute(CompleteStep(**key(message), result="null", seconds=0.1, claim=A_CLAIM, onward=onward))
    assert answer.following is not None
    return replace(message, step=step, position=position)


def fail(processor: Processor, message: Dispatch, retry_in: timedelta | None = None) -> None:
    """Fail as a worker does whose handler raised."""
    error = StepError(error_class="Boom", message="no")
    processor.execute(FailStep(**key(message), error=error, retry_in=retry_in))


def lose(processor: Processor, message: Dispatch) -> None:
    """Lose the process that ran the attempt."""
    processor.execute(LoseStep(**key(message), reason="killed"))


def submit(processor: Processor, workflow: Workflow, **options: Any) -> RunId:
    """Store a run of a workflow."""
    run_id = new_run_id()
    submitted = processor.execute(
        SubmitRun(
            run_id=run_id,
            plan_id=processor.register(compile_plan(workflow)),
            input="null",
            input_digest="-",
            options=RunOptions(**options),
        )
    )
    found: RunId = submitted.run_id
    return found


def run_all(processor: Processor, dispatcher: RecordingDispatcher) -> list[str]:
    """Run everything that is sent, until nothing is; return the steps in their order."""
    order = []
    while dispatcher.sent:
        message = dispatcher.sent.popleft()
        if claim(processor, message) is not None:
            complete(processor, message)
            order.append(message.step)
    return order


def graph(edges: dict[str, Sequence[str]], **options: Any) -> Workflow:
    """Return a workflow of steps that do nothing: each name with its parents."""
    workflow = Workflow(f"graph_{uuid4().hex[:8]}", **options)
    for name, parents in edges.items():
        workflow.step(name=name, after=list(parents))(lambda ctx: None)
    return workflow


def states(store: Store, run_id: RunId) -> dict[str, str]:
    """Return the states of a run's steps by name."""
    with store.single() as tx:
        return {step.name: step.state.value for step in tx.views.steps_of(run_id)}


def run_state(store: Store, run_id: RunId) -> str:
    """Return where a run stands."""
    with store.single() as tx:
        return str(tx.views.run_state(run_id))


def event_names(store: Store, run_id: RunId) -> Counter[tuple[str, str | None]]:
    """Count a run's events by name and step."""
    with store.single() as tx:
        return Counter((event.name, event.step) for event in tx.views.events_of(run_id))

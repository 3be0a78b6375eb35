"""Continuing in place: the process that completes a step goes on with one that the completion set free.

The step needs no message then: no way to the broker and back, and its claim travels with its parent's completion. The
rest is as for any step. Celery's own tracer runs it, in a loop; how it ends is committed in the same way; the worker's
main process is told of it (``KeptSteps``). The message that began the line is acknowledged after its last step: if the
process dies, it comes again, and what was set free and not claimed is sent.
"""

import json
import logging
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from threading import Lock
from time import monotonic
from typing import TYPE_CHECKING, Any, Final

from celery.app.trace import trace_ok_t
from celery.states import FAILURE, RETRY
from celery.utils.saferepr import saferepr

from workflow_engine.celery_app.kept_steps import Ending
from workflow_engine.celery_app.light_failures import lighten
from workflow_engine.celery_app.messages import OTHERS, attempt_from_request
from workflow_engine.definitions.workflow import Workflow
from workflow_engine.engine.bundles import MOST
from workflow_engine.model.commands import Onward, StepAttempt
from workflow_engine.model.records import Claim, ClaimedStep, Completion
from workflow_engine.plan.plan import Plan, PlannedStep

if TYPE_CHECKING:
    from workflow_engine.celery_app.runtime import StepRuntime
    from workflow_engine.celery_app.task import StepTask

logger = logging.getLogger(__name__)

LINE: Final = "wfe_line"
"""The name of a request's line."""

_REMEMBERED: Final = 65_536
"""Characters of a result that is not read again from the database."""
_MOST_PARENTS: Final = 100
"""Of a step that follows at once: with each completion that may be the last, the others are asked for by name."""
_BEFORE_LIMIT: Final = 1.0
"""Seconds: so near to its time limit a process does not go on, for the alarm may be on its way."""


@dataclass(frozen=True, slots=True)
class Continuing:
    """How far a process goes on by itself before others have their turn."""

    steps: int
    """At most so many for each message; 0 is not at all."""
    seconds: float
    """It takes no further step once the first one began so long ago."""
    siblings: bool = False
    """Whether short siblings stay together."""


class Line:
    """The steps that one message leads a process to run, one after the other."""

    def __init__(self, runtime: "StepRuntime", limits: Continuing, request: Mapping[str, Any]) -> None:
        """Begin with the step of ``request``."""
        self._runtime = runtime
        self._limits = limits
        self._request = request
        self._first: str = request["id"]
        self._attempt = attempt_from_request(request)
        self._began = monotonic()
        self._count = 0
        self._waiting = deque[int](request.get(OTHERS) or ())
        self._lock = Lock()  # around what waits, which is sent by another thread if a step takes long
        self._sending = Lock()  # around that sending, whose end the line waits for: its message is acknowledged then
        self._known = _Known()
        self._next: tuple[StepAttempt, ClaimedStep] | None = None
        self._claimed: ClaimedStep | None = None
        self._priority: int | None = None
        self._traceparent: str | None = None

    def take_claimed(self) -> ClaimedStep | None:
        """Return what the step that begins is to know, if it was claimed before it began."""
        claimed, self._claimed = self._claimed, None
        return claimed

    def onward(self, position: int, plan: Plan, workflow: Workflow, result: str, seconds: float) -> Onward:
        """Return what to do with what is free once the step at ``position`` is completed."""
        step = plan[position]
        self._runtime.durations.note(workflow.steps[step.name].handler, seconds)
        self._known.add(position, result)
        mine = [plan[child] for child in step.children if plan[child].name in workflow.steps]
        short = self._short(mine, workflow)
        if not self._may_go_on or (step.timeout is not None and seconds > step.timeout - _BEFORE_LIMIT):
            return Onward(short=short)
        near = [child for child in mine if child.queue == step.queue]
        first, waiting = self._first_waiting()
        follows = self._most_certain(near) if first is None else plan[first]
        if follows is not None and follows.name not in workflow.steps:
            follows = None
        room = MOST - waiting
        kept = [child.position for child in near if child.position in short and child is not follows][:room]
        return Onward(
            follow=None if follows is None else self._runtime.follow(follows.position, self._known.without(follows)),
            kept=frozenset(kept),
            short=short.difference(kept),
        )

    @staticmethod
    def _most_certain(near: Sequence[PlannedStep]) -> PlannedStep | None:
        """Return the child that is most likely to be free: one that waits for nobody else is."""
        child = min(near, key=lambda step: len(step.parents), default=None)
        return None if child is None or len(child.parents) > _MOST_PARENTS else child

    def completed(self, plan: Plan, claimed: ClaimedStep, completion: Completion, onward: Onward) -> None:
        """Go on with what was claimed together with the completion of a step."""
        following, follow = completion.following, onward.follow
        self._traceparent = claimed.claim.traceparent
        with self._lock:
            if follow is not None and self._waiting and self._waiting[0] == follow.position:
                self._waiting.popleft()  # whoever else has it, it is not ours to run later
            later = [position for position in completion.dispatched if position in onward.kept]
            self._waiting.extend(later)
        if later:
            self._priority = completion.run_priority
        if following is None:
            return
        claim = Claim(
            attempt_times=following.times,
            run_times=claimed.claim.run_times,
            correlation_id=claimed.claim.correlation_id,
            traceparent=claimed.claim.traceparent,
            run_priority=claimed.claim.run_priority,
            run_begun=False,
        )
        results = self._known.results(plan[following.position], following.results)
        kept = ClaimedStep(input=claimed.input, results=results, claim=claim)
        self._next = self._first_attempt(following.position), kept

    def step_begins(self) -> None:
        """Let nobody wait long behind the step that begins."""
        if self._waiting:
            self._runtime.long_steps.begin(id(self), self._send_waiting)

    def next_request(self, answer: Any) -> dict[str, Any] | None:
        """Return the request of the next step, if there is one; ``answer`` is what the tracer said of the last one."""
        self._runtime.long_steps.end(id(self))
        attempt = self._next_attempt()
        if attempt is None:
            if self._count:
                self._runtime.kept_steps.tell(self._first, _ending(answer), None)
            return None
        self._count += 1
        headers = self._runtime.headers(attempt, self._traceparent)
        self._runtime.kept_steps.tell(self._first, _ending(answer), headers)
        delivery = {**(self._request.get("delivery_info") or {}), "redelivered": False}
        return {**self._request, **headers, OTHERS: None, "delivery_info": delivery}

    @property
    def _may_go_on(self) -> bool:
        return self._count < self._limits.steps and monotonic() - self._began < self._limits.seconds

    def _next_attempt(self) -> StepAttempt | None:
        if self._next is not None:
            (attempt, self._claimed), self._next = self._next, None
            return attempt
        if not self._may_go_on:
            self._send_waiting()
            return None
        with self._sending, self._lock:
            return self._first_attempt(self._waiting.popleft()) if self._waiting else None

    def _first_waiting(self) -> tuple[int | None, int]:
        """Return which step waits first, and how many wait."""
        with self._lock:
            return (self._waiting[0] if self._waiting else None), len(self._waiting)

    def _send_waiting(self) -> None:
        """Send what waits to whoever has time."""
        with self._sending:
            with self._lock:
                waiting = list(self._waiting)
                self._waiting.clear()
            if not waiting:
                return
            try:
                self._runtime.send([self._first_attempt(each) for each in waiting], self._priority, self._traceparent)
            except Exception:
                with self._lock:
                    self._waiting.extendleft(reversed(waiting))
                raise

    def _first_attempt(self, position: int) -> StepAttempt:
        of = self._attempt
        return StepAttempt(plan_id=of.plan_id, run_id=of.run_id, position=position, attempt=1)

    def _short(self, children: Sequence[PlannedStep], workflow: Workflow) -> frozenset[int]:
        """Return those of a step's children that take little time."""
        if not self._limits.siblings or len(children) == 1:  # which follows, or waits for others
            return frozenset()
        is_short = self._runtime.durations.is_short
        return frozenset(child.position for child in children if is_short(workflow.steps[child.name].handler))


class _Known:
    """What a line need not read from the database again. As text: no handler sees what another one did to an object."""

    def __init__(self) -> None:
        """Know nothing."""
        self._results: dict[int, str] = {}

    def add(self, position: int, result: str) -> None:
        """Remember a result, unless it is large."""
        if len(result) <= _REMEMBERED:
            self._results[position] = result

    def without(self, step: PlannedStep) -> list[int]:
        """Return those of a step's parents whose results are not known."""
        return [parent for parent in step.parents if parent not in self._results]

    def results(self, step: PlannedStep, others: Mapping[int, Any]) -> dict[int, Any]:
        """Return the results of a step's parents, of which ``others`` were read."""
        known = {parent: json.loads(self._results[parent]) for parent in step.parents if parent in self._results}
        return {**others, **known}


def traced(task: "StepTask", tracer: Callable[..., Any]) -> Callable[..., Any]:
    """Return a tracer that runs a step with Celery's ``tracer``, and then those with which the process goes on."""

    def trace(uuid: str, args: Any, kwargs: Any, request: Mapping[str, Any] | None = None) -> Any:
        runtime = task.runtime
        line = None if task.rate_limit else runtime.line(request or {})  # a limit of messages would let the others by
        if line is None:
            runtime.send_others(request or {})
            return lighten(tracer(uuid, args, kwargs, request))
        line.step_begins()
        first = answer = lighten(tracer(uuid, args, kwargs, {**(request or {}), LINE: line}))
        while (following := _next_request(line, answer)) is not None:
            line.step_begins()
            answer = lighten(tracer(following["id"], [], {}, {**following, LINE: line}))
        return first

    return trace


def _next_request(line: Line, answer: Any) -> dict[str, Any] | None:
    """Return the next step's request; None too where the line breaks off.

    Nobody hears then that a kept step has ended, so the message comes again; if there was none, coordinators send what
    waits. An error that left the tracer would take a place of the pool for ever where it has no processes.
    """
    try:
        return line.next_request(answer)
    except Exception:
        logger.exception("cannot go on in place; what waits is sent again")
        return None


def _ending(answer: Any) -> Ending | None:
    """Return how a step ended, as the main process would say it in a task event."""
    result, info, runtime, shown = trace_ok_t(*answer)
    if info is None:
        return "task-succeeded", {"result": shown, "runtime": runtime}
    if info.state == FAILURE:
        return "task-failed", {"exception": saferepr(result.exception), "traceback": str(result.traceback)}
    if info.state == RETRY:
        return "task-retried", {"exception": saferepr(result.exception.exc), "traceback": str(result.traceback)}
    return None

"""StepRuntime: run one attempt of one step inside a Celery worker, and report what came of it."""

import json
import logging
import time
from asyncio import CancelledError
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from threading import Event as Flag
from typing import Any, Final, TypeVar

from celery.exceptions import Ignore, Retry

from workflow_engine.celery_app.continuing import LINE, Continuing, Line
from workflow_engine.celery_app.durations import Durations
from workflow_engine.celery_app.failures import as_failure, described, for_celery, retry_delay
from workflow_engine.celery_app.identity import WorkerIdentity
from workflow_engine.celery_app.kept_steps import KeptSteps
from workflow_engine.celery_app.long_steps import LongSteps
from workflow_engine.celery_app.messages import OTHERS, attempt_from_request, step_headers
from workflow_engine.celery_app.tracing import Tracing
from workflow_engine.definitions.context import StepContext
from workflow_engine.definitions.registry import Registry
from workflow_engine.definitions.step import Step
from workflow_engine.definitions.waiting import Wait
from workflow_engine.definitions.workflow import Workflow
from workflow_engine.engine.attempt_watch import AttemptWatch
from workflow_engine.engine.dispatcher import Dispatch
from workflow_engine.engine.plan_cache import dispatches
from workflow_engine.engine.processor import Processor
from workflow_engine.errors import DatabaseUnavailable, StepCancelled
from workflow_engine.logs import log_context
from workflow_engine.model.commands import (
    ClaimStep,
    CompleteStep,
    FailStep,
    FollowStep,
    LoseStep,
    Onward,
    ReleaseSteps,
    StepAttempt,
    StopStep,
    SuspendStep,
)
from workflow_engine.model.json_values import result_as_json
from workflow_engine.model.records import ClaimedStep, Completion
from workflow_engine.plan.plan import Plan
from workflow_engine.store.transaction import Store

logger = logging.getLogger(__name__)

T = TypeVar("T")
_WITHOUT_DEFINITION: Final = timedelta(seconds=10)
"""How long a step waits after a worker that does not know its workflow has had it."""
ENFORCING_POOLS: Final = frozenset({"prefork", "processes", None})
"""Where Celery enforces a step's timeout; None is outside workers."""
NOT_CONTINUING: Final = Continuing(steps=0, seconds=0.0)
_FIRST_WAIT, _LONGEST_WAIT = 0.1, 5.0
"""Seconds between tries while PostgreSQL is down."""


@dataclass(slots=True)
class _Running:
    """The attempt at hand, between the handler and the result backend; kept on Celery's request."""

    attempt: StepAttempt
    claimed: ClaimedStep
    watch: AttemptWatch
    line: Line | None = None
    report: CompleteStep | FailStep | StopStep | None = None


class StepRuntime:
    """Claims attempts, calls handlers, and turns what happened into commands.

    The Celery task calls ``run``; the result backend calls ``report``, as Celery tells it how the task ended. So there
    is one reporter of outcomes.
    """

    def __init__(
        self,
        processor: Processor,
        registry: Registry,
        identity: WorkerIdentity,
        *,
        store: Store,
        result_limit: int,
        tracing: Tracing | None = None,
        continuing: Continuing = NOT_CONTINUING,
    ) -> None:
        """Run the steps of the workflows in ``registry``; keep their timers in ``store``."""
        self._processor = processor
        self._registry = registry
        self._identity = identity
        self._store = store
        self._result_limit = result_limit
        self._tracing = tracing or Tracing()
        self._continuing = continuing
        self.kept_steps = KeptSteps()
        self.durations = Durations()
        self.long_steps = LongSteps()

    def line(self, request: Mapping[str, Any]) -> Line | None:
        """Return the line of steps that a message's request begins; None where a message is one step."""
        if self._continuing.steps == 0 or not self.kept_steps.is_open:
            return None
        return Line(self, self._continuing, request)

    def follow(self, position: int, unknown: Iterable[int]) -> FollowStep:
        """Return what claims a step together with the completion of another one."""
        return FollowStep(
            position=position,
            worker_id=self._identity.id,
            worker_name=self._identity.name,
            unknown=tuple(unknown),
        )

    def headers(self, attempt: StepAttempt, traceparent: str | None) -> dict[str, Any]:
        """Return what the headers of a kept step's message would say of it; ``traceparent`` is of the submitter."""
        (step,) = self._dispatches([attempt], None, traceparent)
        headers = step_headers(step)
        with self._tracing.sending(step, headers):
            return headers

    def send(
        self, attempts: Sequence[StepAttempt], priority: int | None = None, traceparent: str | None = None
    ) -> None:
        """Send steps of one run that this process does not go on with after all."""
        steps = self._dispatches(attempts, priority, traceparent)
        until_committed(lambda: self._processor.send(steps))

    def send_others(self, request: Mapping[str, Any]) -> None:
        """Send the steps that share a message with another one, where a message is one step."""
        if others := request.get(OTHERS):
            of = attempt_from_request(request)
            self.send([replace(of, position=position, attempt=1) for position in others])

    def _dispatches(
        self, attempts: Sequence[StepAttempt], priority: int | None, traceparent: str | None
    ) -> tuple[Dispatch, ...]:
        of = attempts[0]
        plan = until_committed(lambda: self._processor.plan(of.plan_id))
        free = [(attempt.position, attempt.attempt) for attempt in attempts]
        return dispatches(plan, of.plan_id, of.run_id, free, priority, traceparent)

    def run(self, request: Any) -> Any:
        """Run the attempt that a message names and return its result, as JSON values.

        Raises:
            Ignore: the attempt is not to be had (late, repeated, or of a workflow this worker does not know), or it
                waits for something and needs no worker.
            Retry: the handler failed and the step will be tried again.
            Exception: the handler's own, if the step has failed for good.
        """
        attempt = attempt_from_request(request)
        plan, workflow, step = self._definition(attempt)
        line = getattr(request, LINE, None)
        claimed = (line and line.take_claimed()) or self._claim(attempt)
        running = _Running(attempt, claimed, self._watch(attempt, plan), line)
        until_committed(running.watch.begin)
        request.wfe_running = running
        with self._tracing.handling(attempt, plan, claimed.claim, self._identity.name):
            result = self._call(running, plan, workflow, step, claimed)
            if isinstance(result, Wait):
                self._suspend(running, result)
            return result

    def report(self, request: Any, error: BaseException | None = None) -> None:
        """Commit how an attempt ended; come back only when it is committed.

        ``error`` speaks for attempts whose process could not: a hard time limit, a revoked task.
        """
        running = getattr(request, "wfe_running", None)
        command = running.report if running else None
        if command is None:
            command = self._failure(attempt_from_request(request), error or RuntimeError("no outcome"))
        answer = until_committed(lambda: self._processor.execute(command))
        if running:
            running.watch.end()
            if running.line is not None and isinstance(command, CompleteStep) and isinstance(answer, Completion):
                plan = self._processor.plan(running.attempt.plan_id)
                running.line.completed(plan, running.claimed, answer, command.onward)

    def revoke(self, request: Any, reason: str) -> None:
        """End an attempt whose task somebody revoked: its step fails, whether it had begun or not."""
        attempt = attempt_from_request(request)
        self.send_others(request)  # nobody revoked those; Celery is about to acknowledge their message
        failure = FailStep(**_key(attempt), error=described(Revoked(reason)), retry_in=None)
        until_committed(lambda: self._processor.execute(self._claim_command(attempt)))
        until_committed(lambda: self._processor.execute(failure))

    def lose(self, attempt: StepAttempt, reason: str) -> None:
        """Give away an attempt whose process is gone, or the one it went on with, of which it told nobody any more."""
        self._processor.execute(LoseStep(**_key(attempt), reason=reason))
        with self._store.single() as tx:
            kept = tx.steps.find_kept(attempt, self._identity.id)
        if kept is not None:
            self._processor.execute(LoseStep(**_key(kept), reason=reason))

    def _definition(self, attempt: StepAttempt) -> tuple[Plan, Workflow, Step]:
        plan = until_committed(lambda: self._processor.plan(attempt.plan_id))
        workflow = self._registry.find(plan.namespace, plan.workflow, plan.version)
        name = plan[attempt.position].name
        if workflow is None or name not in workflow.steps:
            reason = f"worker {self._identity.name} does not have {plan.workflow} {plan.version}, step {name}"
            logger.warning("%s; the step waits for one that has it", reason)
            release = ReleaseSteps(attempts=[attempt], reason=reason, retry_in=_WITHOUT_DEFINITION)
            until_committed(lambda: self._processor.execute(release))
            raise Ignore(reason)
        return plan, workflow, workflow.steps[name]

    def _claim(self, attempt: StepAttempt) -> ClaimedStep:
        command = self._claim_command(attempt)
        claimed: ClaimedStep | None = until_committed(lambda: self._processor.execute(command))
        if claimed is None:
            raise Ignore("this attempt is finished, given away, or another worker's")
        return claimed

    def _watch(self, attempt: StepAttempt, plan: Plan) -> AttemptWatch:
        timeout = self._identity.pool not in ENFORCING_POOLS
        return AttemptWatch(self._store, self._processor, attempt, plan[attempt.position], timeout=timeout)

    def _claim_command(self, attempt: StepAttempt) -> ClaimStep:
        return ClaimStep(**_key(attempt), worker_id=self._identity.id, worker_name=self._identity.name)

    def _call(self, running: _Running, plan: Plan, workflow: Workflow, step: Step, claimed: ClaimedStep) -> Any:
        attempt = running.attempt
        started = time.perf_counter()
        try:
            context = self._context(running, workflow, step, claimed, plan)
            with log_context(**_log_fields(context)):
                output = step.handler(context)
            if isinstance(output, Wait):
                return output
            result = step.storable(output)
            text = result_as_json(result, self._result_limit)
        except StepCancelled:
            until_committed(lambda: self._processor.execute(StopStep(**_key(attempt))))
            running.watch.end()
            raise Ignore("the run was cancelled") from None
        except (Exception, SystemExit, KeyboardInterrupt, CancelledError) as error:
            self._raise_failure(running, step, error)
        seconds, line = time.perf_counter() - started, running.line
        running.report = CompleteStep(
            **_key(attempt),
            result=text,
            seconds=seconds,
            claim=claimed.claim,
            onward=Onward() if line is None else line.onward(attempt.position, plan, workflow, text, seconds),
        )
        return result

    def _suspend(self, running: _Running, wait: Wait) -> None:
        """Give the attempt back, to be ended by whoever knows that its wait is over."""
        command = SuspendStep(**_key(running.attempt), wait=wait, claim=running.claimed.claim)
        until_committed(lambda: self._processor.execute(command))
        raise Ignore("the step waits, and needs no worker")

    def _raise_failure(self, running: _Running, step: Step, error: BaseException) -> None:
        failure = as_failure(error, step)
        delay = retry_delay(failure, step, running.attempt.attempt - running.claimed.claim.forgiven)
        running.report = FailStep(**_key(running.attempt), error=described(failure), retry_in=delay)
        if delay is not None:
            raise Retry(exc=for_celery(failure), when=delay.total_seconds()) from error
        raise for_celery(failure) from error

    def _failure(self, attempt: StepAttempt, error: BaseException) -> FailStep:
        plan = self._processor.plan(attempt.plan_id)
        workflow = self._registry.find(plan.namespace, plan.workflow, plan.version)
        step = workflow.steps.get(plan[attempt.position].name) if workflow else None
        if step is None:
            return FailStep(**_key(attempt), error=described(error), retry_in=None)
        failure = as_failure(error, step)
        forgiven = until_committed(lambda: self._processor.forgiven(attempt))
        delay = retry_delay(failure, step, attempt.attempt - forgiven)
        return FailStep(**_key(attempt), error=described(failure), retry_in=delay)

    def _context(
        self, running: _Running, workflow: Workflow, step: Step, claimed: ClaimedStep, plan: Plan
    ) -> StepContext:
        attempt = running.attempt
        return StepContext(
            run_id=attempt.run_id,
            workflow=workflow.name,
            version=workflow.version,
            namespace=workflow.namespace,
            step=step.name,
            attempt=attempt.attempt,
            input=workflow.parse_input(json.loads(claimed.input)),
            results={plan[position].name: result for position, result in claimed.results.items()},
            correlation_id=claimed.claim.correlation_id,
            _heartbeat=lambda: _check_current(running.watch),
        )


class Revoked(Exception):
    """Somebody revoked the Celery task of an attempt."""


def until_committed(action: Callable[[], T]) -> T:
    """Do ``action``, waiting for PostgreSQL as long as it is down: no message is acknowledged before its commit.

    A worker that is told to stop while it waits is stopped by Celery; its steps then go to another one.
    """
    wait = _FIRST_WAIT
    while True:
        try:
            return action()
        except DatabaseUnavailable as error:
            logger.warning("waiting %.1f s for PostgreSQL: %s", wait, error)
            Flag().wait(wait)
            wait = min(wait * 2, _LONGEST_WAIT)


def _check_current(watch: AttemptWatch) -> None:
    try:
        current = watch.is_current()
    except DatabaseUnavailable as error:  # no answer is no reason to give up: completing will wait for one
        logger.warning("cannot ask whether to go on: %s", error)
        return
    if not current:
        raise StepCancelled("the run was cancelled, its timeout has passed, or this attempt was given away")


def _log_fields(context: StepContext) -> dict[str, str | int]:
    return {
        "run_id": context.run_id,
        "workflow": context.workflow,
        "step": context.step,
        "attempt": context.attempt,
        "correlation_id": context.correlation_id,
        "namespace": context.namespace,
    }


def _key(attempt: StepAttempt) -> dict[str, Any]:
    return {
        "plan_id": attempt.plan_id,
        "run_id": attempt.run_id,
        "position": attempt.position,
        "attempt": attempt.attempt,
    }

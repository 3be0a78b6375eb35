"""run_inline: steps in this process, in topological order, with the engine's rules and nothing to install."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from random import Random
from typing import Any

from workflow_engine.definitions.context import StepContext
from workflow_engine.definitions.names import did_you_mean
from workflow_engine.definitions.policies import FailurePolicy
from workflow_engine.definitions.step import Step
from workflow_engine.definitions.waiting import Wait
from workflow_engine.definitions.workflow import Workflow
from workflow_engine.errors import InvalidInput, SignalTimeout, StepCancelled
from workflow_engine.ids import new_run_id
from workflow_engine.model.json_values import input_as_json, result_as_json
from workflow_engine.model.run import RunState
from workflow_engine.model.step import StepState
from workflow_engine.plan.compiler import compile_plan
from workflow_engine.plan.plan import Plan

_LIMIT = 268_435_456
_RANDOM = Random(0)  # noqa: S311  delays are not waited for, so their spread does not matter


@dataclass(slots=True, kw_only=True)
class InlineRun:
    """What came of a run in this process."""

    state: RunState
    results: dict[str, Any] = field(default_factory=dict)
    """The result of every step that succeeded."""
    states: dict[str, StepState] = field(default_factory=dict)
    attempts: dict[str, int] = field(default_factory=dict)
    errors: dict[str, BaseException] = field(default_factory=dict)
    """The last exception of every step that failed."""
    result: dict[str, Any] = field(default_factory=dict)
    """The results of the steps nobody waits for, as ``RunHandle.result``."""


def run_inline(
    workflow: Workflow,
    input: Any = None,  # noqa: A002  the word of the public interface
    *,
    signals: Mapping[str, Any] | None = None,
) -> InlineRun:
    """Run a workflow here and now, and return what came of it.

    Retries happen at once, whatever their delay; no timeout is enforced. Input and results go through JSON, so
    what cannot be stored fails here as it would in production. Steps that wait for a time succeed at once; those that
    wait for a signal get the payload that ``signals`` has for its name, or fail with ``SignalTimeout`` if it has none.

    Raises:
        DefinitionError: the workflow cannot work.
        InvalidInput: the input is refused, or no step waits for a signal in ``signals``.
    """
    plan = compile_plan(workflow)
    input_as_json(workflow.storable_input(input), _LIMIT)
    for name in signals or {}:
        if name not in plan.signals:
            raise InvalidInput("signals", f"no step waits for {name!r}{did_you_mean(name, plan.signals)}")
    run = _InlineExecution(workflow, plan, workflow.storable_input(input), signals or {})
    for position in range(len(plan)):
        run.visit(position)
    return run.outcome()


class _InlineExecution:
    """One run in progress."""

    def __init__(self, workflow: Workflow, plan: Plan, stored_input: Any, signals: Mapping[str, Any]) -> None:
        self._workflow = workflow
        self._plan = plan
        self._input = stored_input
        self._signals = signals
        self._run_id = new_run_id()
        self._run = InlineRun(state=RunState.RUNNING)

    def visit(self, position: int) -> None:
        """Run a step, or say why it does not run."""
        planned = self._plan[position]
        states = self._run.states
        parents = self._plan.names(planned.parents)
        if self._run.errors and self._plan.on_failure == FailurePolicy.FAIL_FAST:
            states[planned.name] = StepState.CANCELLED
        elif any(states[parent] is not StepState.SUCCEEDED for parent in parents):
            states[planned.name] = StepState.SKIPPED
        else:
            self._attempt(self._workflow.steps[planned.name], {parent: self._run.results[parent] for parent in parents})

    def outcome(self) -> InlineRun:
        """Return the finished run."""
        self._run.state = RunState.FAILED if self._run.errors else RunState.SUCCEEDED
        sinks = self._plan.names(self._plan.sinks)
        self._run.result = {name: self._run.results[name] for name in sinks if name in self._run.results}
        return self._run

    def _attempt(self, step: Step, parents: Mapping[str, Any]) -> None:
        attempt = 0
        while True:
            attempt += 1
            self._run.attempts[step.name] = attempt
            try:
                output = step.handler(self._context(step, attempt, parents))
                result = self._awaited(step, output) if isinstance(output, Wait) else step.storable(output)
                self._run.results[step.name] = _through_json(result)
            except (Exception, SystemExit) as error:  # whatever a handler raises is its failure
                if isinstance(error, StepCancelled) or step.retry.delay_after(error, attempt, _RANDOM) is None:
                    self._run.errors[step.name] = error
                    self._run.states[step.name] = StepState.FAILED
                    return
            else:
                self._run.states[step.name] = StepState.SUCCEEDED
                return

    def _awaited(self, step: Step, wait: Wait) -> Any:
        if wait.signal is None:
            return None
        if wait.signal not in self._signals:
            raise SignalTimeout(step.name, wait.signal, wait.seconds)
        return self._signals[wait.signal]

    def _context(self, step: Step, attempt: int, parents: Mapping[str, Any]) -> StepContext:
        return StepContext(
            run_id=self._run_id,
            workflow=self._workflow.name,
            version=self._workflow.version,
            namespace=self._workflow.namespace,
            step=step.name,
            attempt=attempt,
            input=self._workflow.parse_input(self._input),
            results=parents,
            correlation_id=self._run_id,
        )


def _through_json(result: Any) -> Any:
    return json.loads(result_as_json(result, _LIMIT))

"""Submitting: what is said about a run, and its input, checked and made into a command."""

import hashlib
import json
from typing import Any

from workflow_engine.client.schedules import Accepted
from workflow_engine.client.tracing import current_traceparent
from workflow_engine.clock import Clock
from workflow_engine.definitions.names import did_you_mean
from workflow_engine.definitions.registry import Registry
from workflow_engine.definitions.workflow import Workflow, canonical_json
from workflow_engine.engine.processor import Processor
from workflow_engine.errors import InvalidInput, WorkflowNotFound
from workflow_engine.ids import new_run_id
from workflow_engine.model.commands import SubmitRun
from workflow_engine.model.json_values import input_as_json
from workflow_engine.model.run_options import RunOptions, check_text, run_options
from workflow_engine.plan.compiler import compile_plan
from workflow_engine.store.clock import DatabaseClock
from workflow_engine.store.transaction import Store


class Submitting:
    """Makes commands for one namespace; those of several namespaces share what they know of plans."""

    def __init__(
        self,
        store: Store,
        processor: Processor,
        registry: Registry,
        clock: Clock,
        *,
        namespace: str,
        input_limit: int,
    ) -> None:
        """Use the given parts; an input has at most ``input_limit`` bytes."""
        self._store = store
        self._processor = processor
        self._registry = registry
        self._clock = clock
        self._namespace = namespace
        self._input_limit = input_limit
        self._plan_ids: dict[tuple[int, int], tuple[Workflow, int]] = {}

    def in_namespace(self, namespace: str) -> "Submitting":
        """Return the same for another namespace."""
        other = Submitting(
            self._store,
            self._processor,
            self._registry,
            self._clock,
            namespace=namespace,
            input_limit=self._input_limit,
        )
        other._plan_ids = self._plan_ids
        return other

    def register(self, workflow: Workflow) -> int:
        """Store a workflow's plan unless its version is known; return the plan's id.

        Raises:
            DefinitionError: the workflow cannot work, or its version is registered with another definition.
        """
        # Steps may be added until the first submit, so the number of steps is part of what was registered.
        key = (id(workflow), len(workflow.steps))
        known = self._plan_ids.get(key)
        if known is None:
            known = (workflow, self._processor.register(compile_plan(workflow)))
            self._plan_ids[key] = known
        return known[1]

    def options(self, given: dict[str, Any], moment: Clock | None = None) -> RunOptions:
        """Check what is said about a run; unless it says otherwise, the run is part of the trace it is submitted in.

        ``moment`` says when that is; unless given, PostgreSQL's clock does, where it matters.
        """
        if "traceparent" not in given:
            given = {**given, "traceparent": current_traceparent()}
        # The coordinator decides by PostgreSQL's clock when the time is over; asking costs a round trip.
        clock = self._clock if given.get("expires_in") is None else moment or DatabaseClock(self._store)
        return run_options(clock.now(), **given)

    def command(self, workflow: Workflow | str, value: Any, version: str | None, options: RunOptions) -> SubmitRun:
        """Return the command that submits a run, its input checked."""
        plan_id, text = self._accepted(workflow, value, version)
        return SubmitRun(
            run_id=new_run_id(),
            plan_id=plan_id,
            input=text,
            input_digest=_digest(text),
            options=options,
        )

    def accept_for_schedule(self, workflow: Workflow | str, value: Any, version: str | None) -> Accepted:
        """Return a workflow and an input that fit each other."""
        if isinstance(workflow, Workflow) and version not in {None, workflow.version}:
            raise InvalidInput("version", f"is {version!r}, and the workflow given is version {workflow.version!r}")
        plan_id, text = self._accepted(workflow, value, version)
        plan = self._processor.plan(plan_id)
        return Accepted(workflow=plan.workflow, namespace=plan.namespace, input=text, digest=_digest(text))

    def _accepted(self, workflow: Workflow | str, value: Any, version: str | None) -> tuple[int, str]:
        """Return the plan's id and the input as JSON text, checked by the workflow's own model where it is loaded."""
        definition = workflow if isinstance(workflow, Workflow) else self._loaded(workflow, version)
        if definition is not None:
            value = definition.storable_input(value)
        text = input_as_json(value, self._input_limit)
        plan_id = self._registered(str(workflow), version) if definition is None else self.register(definition)
        return plan_id, text

    def _loaded(self, name: str, version: str | None) -> Workflow | None:
        check_text("workflow", name)
        if version is not None:
            check_text("version", version)
        return self._registry.newest(name, namespace=self._namespace, version=version)

    def _registered(self, name: str, version: str | None) -> int:
        """Return the plan of a workflow whose code is elsewhere: workers have it, this process does not."""
        with self._store.single() as tx:
            found = tx.plans.find(name, namespace=self._namespace, version=version)
            if found is not None:
                return found.id
            known = {each.workflow for each in tx.views.workflows(self._namespace)}
        known |= {each.name for each in self._registry if each.namespace == self._namespace}
        wanted = f"workflow {name!r}" + (f" version {version!r}" if version else "")
        raise WorkflowNotFound(f"{wanted} is not known in namespace {self._namespace!r}{did_you_mean(name, known)}")


def _digest(text: str) -> str:
    """Return what two inputs share if and only if they are equal: the order of an object's keys does not count."""
    return hashlib.sha256(canonical_json(json.loads(text)).encode()).hexdigest()

"""A plan as Celery signatures: the ``chain``/``group``/``chord`` that does the same work."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from celery import Celery, chain, group
from celery.canvas import Signature

from workflow_engine.definitions.context import StepContext
from workflow_engine.definitions.registry import Registry
from workflow_engine.definitions.waiting import WaitHandler
from workflow_engine.plan.graph import components, levels, reachable
from workflow_engine.plan.plan import Plan

CANVAS_STEP: Final = "wfe.canvas_step"
CANVAS_JOIN: Final = "wfe.canvas_join"


def canvas(plan: Plan, input: Any = None) -> Signature:  # noqa: A002  as Plan.canvas
    """Return a Celery canvas that does a plan's work for one input; see ``Plan.canvas``.

    Each task is given the results so far and adds its own. The graph is taken apart into series (``chain``) and
    parallel parts (``group``, which Celery makes the header of a ``chord`` when something follows). Where a part is
    neither, and only there, its first level becomes a group of its own, which adds a barrier.
    """
    return _Builder(plan, input).part(list(range(len(plan))))


def register_canvas_tasks(app: Celery, registry: Registry) -> None:
    """Register the two tasks of ``canvas`` on an app, for the workflows in ``registry``."""

    @app.task(name=CANVAS_STEP, shared=False)  # type: ignore[untyped-decorator]  # Celery has no types
    def canvas_step(before: Any = None, *, workflow: Sequence[str], step: str, value: Any) -> dict[str, Any]:
        results = canvas_results(before)
        return results | {step: _run(registry, workflow, step, value, results)}

    @app.task(name=CANVAS_JOIN, shared=False)  # type: ignore[untyped-decorator]  # Celery has no types
    def canvas_join(before: Any = None) -> dict[str, Any]:
        return canvas_results(before)


class _Builder:
    """Takes one plan apart."""

    def __init__(self, plan: Plan, value: Any) -> None:
        self._plan = plan
        self._value = value
        self._parents = [step.parents for step in plan]
        self._children = [step.children for step in plan]

    def part(self, nodes: Sequence[int]) -> Signature:
        """Return the canvas of a subgraph, given in topological order."""
        if len(nodes) == 1:
            return self._signature(nodes[0])
        parts = components(nodes, self._parents)
        if len(parts) > 1:
            return group([self.part(each) for each in parts])
        return chain(*self._series(nodes))

    def _series(self, nodes: Sequence[int]) -> list[Signature]:
        links: list[Signature] = []
        for stage in self._stages(nodes):
            link = self.part(stage)
            if links and isinstance(links[-1], group) and isinstance(link, group):
                # Two groups in a row need a task between them: Celery's chord has one body.
                links.append(Signature(CANVAS_JOIN))
            links.append(link)
        return links

    def _stages(self, nodes: Sequence[int]) -> list[list[int]]:
        """Split a connected subgraph wherever everything before is before everything after; else after a level."""
        stages: list[list[int]] = []
        rest = list(nodes)
        while rest:
            stage = self._first_stage(rest)
            stages.append(stage)
            taken = set(stage)
            rest = [node for node in rest if node not in taken]
            if len(rest) > 1 and len(components(rest, self._parents)) > 1:
                return [*stages, rest]
        return stages

    def _first_stage(self, nodes: Sequence[int]) -> list[int]:
        by_level = levels(nodes, self._parents)
        stage: list[int] = []
        for level in by_level[:-1]:
            stage = stage + level
            if self._is_series(stage, nodes):
                return stage
        return by_level[0]

    def _is_series(self, first: Sequence[int], nodes: Sequence[int]) -> bool:
        """Return whether every source of the rest comes after every sink of ``first``: the cut adds no barrier."""
        inside = set(first)
        rest = [node for node in nodes if node not in inside]
        ends = [node for node in first if not any(child in inside for child in self._children[node])]
        starts = [node for node in rest if all(parent not in set(rest) for parent in self._parents[node])]
        return all(set(starts) <= reachable([end], self._children) for end in ends)

    def _signature(self, node: int) -> Signature:
        workflow = [self._plan.namespace, self._plan.workflow, self._plan.version]
        # What came before is put in front of these by Celery, as in every chain and chord.
        return Signature(
            CANVAS_STEP,
            kwargs={"workflow": workflow, "step": self._plan[node].name, "value": self._value},
            options={"shadow": f"{self._plan.workflow}.{self._plan[node].name}"},
        )


def _run(registry: Registry, workflow: Sequence[str], step: str, value: Any, results: Mapping[str, Any]) -> Any:
    definition = registry.find(*workflow)
    if definition is None:
        raise LookupError(f"workflow {workflow[1]} {workflow[2]} is not loaded here")
    chosen = definition.steps[step]
    if isinstance(chosen.handler, WaitHandler):
        return None  # Celery cannot wait without a worker: in a canvas nobody does
    context = StepContext(
        run_id="canvas",
        workflow=definition.name,
        version=definition.version,
        namespace=definition.namespace,
        step=step,
        attempt=1,
        input=definition.parse_input(value),
        results={parent: results[parent] for parent in chosen.after},
        correlation_id="canvas",
    )
    return chosen.storable(chosen.handler(context))


def canvas_results(before: Any) -> dict[str, Any]:
    """Return what a chain (one dict), a chord (a list of them) or nobody (None) handed on, as one dict.

    Applied to the result of a whole canvas it gives every step's result by name.
    """
    if before is None:
        return {}
    parts = before if isinstance(before, list) else [before]
    return {name: result for part in parts for name, result in _flat(part)}


def _flat(part: Any) -> list[tuple[str, Any]]:
    if isinstance(part, list):
        return [pair for each in part for pair in _flat(each)]
    return list(part.items())

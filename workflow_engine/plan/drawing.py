"""A plan's graph for people: as text for the terminal, and as Mermaid."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Final

from workflow_engine.plan.lanes import draw_lanes
from workflow_engine.plan.layered import draw_layered
from workflow_engine.plan.plan import Plan, PlannedStep

_MOST_LINES: Final = 64
"""A drawing with more steps than this is a maze; a list is clearer."""
_FEWEST_TWINS: Final = 4
_NUMBERED: Final = re.compile(r"(.*?)(\d+)")


@dataclass(frozen=True, slots=True)
class _Group:
    """Steps drawn as one: of one numbered name, with the same parents and the same children."""

    steps: tuple[PlannedStep, ...]

    @property
    def label(self) -> str:
        first, last = self.steps[0], self.steps[-1]
        return first.name if first is last else f"{first.name} … {last.name} ({len(self.steps)})"


def draw(plan: Plan, width: int = 100) -> str:
    """Return the graph as text at most about ``width`` characters wide.

    From left to right where that fits, else from top to bottom, else (more than some sixty lines) as a list. Steps
    like ``parse_00`` to ``parse_11`` that wait for the same steps, and for which the same steps wait, are drawn as one.
    """
    groups = _groups(plan)
    labels, parents = [group.label for group in groups], _parents(groups)
    if len(groups) <= _MOST_LINES:
        layered = draw_layered(labels, parents, width)
        if layered is not None:
            return "\n".join(layered)
        lanes = draw_lanes(labels, parents)
        if max(len(line) for line in lanes) <= width:
            return "\n".join(lanes)
    return list_steps(plan)


def list_steps(plan: Plan) -> str:
    """Return each step, or group of steps of one numbered name, with what it waits for."""
    groups = _groups(plan)
    widest = max(len(group.label) for group in groups)
    return "\n".join(f"{group.label.ljust(widest)}  {_waits(plan, group.steps[0])}".rstrip() for group in groups)


def mermaid(plan: Plan) -> str:
    """Return the graph as a Mermaid flowchart, every step by its name."""
    lines = ["flowchart LR"]
    lines += [f'    s{step.position}["{step.name}"]' for step in plan]
    lines += [f"    s{parent} --> s{step.position}" for step in plan for parent in step.parents]
    return "\n".join(lines)


def _waits(plan: Plan, step: PlannedStep) -> str:
    return f"after {', '.join(_ranges(plan.names(step.parents)))}" if step.parents else ""


def _ranges(names: Sequence[str]) -> list[str]:
    """Return names, with long runs as ``first … last (count)``."""
    return [f"{run[0]} … {run[-1]} ({len(run)})" if len(run) > 1 else run[0] for run in _runs(names)]


def _runs(names: Sequence[str]) -> list[list[str]]:
    """Split names where they stop counting up (``parse_08``, ``parse_09``, ``parse_10``); short runs fall apart."""
    runs: list[list[str]] = []
    for name in names:
        if runs and name == _successor(runs[-1][-1]):
            runs[-1].append(name)
        else:
            runs.append([name])
    return [part for run in runs for part in ([run] if len(run) >= _FEWEST_TWINS else [[name] for name in run])]


def _successor(name: str) -> str | None:
    numbered = _NUMBERED.fullmatch(name)
    return None if numbered is None else f"{numbered[1]}{int(numbered[2]) + 1:0{len(numbered[2])}}"


def _stem(name: str) -> str:
    numbered = _NUMBERED.fullmatch(name)
    return f"{numbered[1]}#" if numbered else name


def _groups(plan: Plan) -> list[_Group]:
    """Return the steps in topological order, twins together."""
    twins: dict[object, list[PlannedStep]] = {}
    for step in plan:
        twins.setdefault((step.parents, step.children, _stem(step.name)), []).append(step)
    found = []
    for steps in twins.values():
        remaining = iter(steps)
        found += [_Group(tuple(islice(remaining, len(run)))) for run in _runs([step.name for step in steps])]
    return sorted(found, key=lambda group: group.steps[0].position)


def _parents(groups: Sequence[_Group]) -> list[list[int]]:
    number = {step.position: index for index, group in enumerate(groups) for step in group.steps}
    return [sorted({number[parent] for parent in group.steps[0].parents}) for group in groups]

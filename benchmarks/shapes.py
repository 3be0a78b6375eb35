"""Workflows by name: a worker is told by an environment variable which ones it has."""

import os
from collections.abc import Iterable, Sequence
from functools import cache
from threading import Event as Flag
from typing import Final

from benchmarks.graphs import Graph, layered_graph
from benchmarks.trace import append, record
from benchmarks.workflows import add, chain, diamond, noop, wide
from workflow_engine import Step, StepContext, Workflow

SHAPES: Final = "BENCH_SHAPES"
"""The environment variable that names a worker's workflows."""


@cache
def layered(layers: int, width: int, seed: int = 1) -> Workflow:
    """Return layers of steps that do nothing."""
    return _of_graph(f"layered_{layers}_{width}_{seed}", layered_graph(layers, width, seed))


@cache
def sleeping(layers: int, width: int, seed: int) -> Workflow:
    """Return layers of steps that each sleep for as long as the graph says."""
    graph = layered_graph(layers, width, seed)
    return _of_graph(f"sleeping_{layers}_{width}_{seed}", graph, graph.seconds)


@cache
def nap(milliseconds: int) -> Workflow:
    """Return one step that sleeps."""
    return _of_graph(f"nap_{milliseconds}", Graph(parents=[[]], seconds=[0.0]), [milliseconds / 1_000])


def shapes_in_environment() -> list[Workflow]:
    """Return the workflows that this worker was told to have."""
    return [_by_name(name) for name in os.environ[SHAPES].split(",")]


def as_variable(workflows: Iterable[Workflow]) -> dict[str, str]:
    """Return the environment variable that names ``workflows``."""
    return {SHAPES: ",".join(workflow.name for workflow in workflows)}


def _by_name(name: str) -> Workflow:
    kind, *sizes = name.split("_")
    numbers = [int(size) for size in sizes]
    if kind == "diamond":
        return diamond()
    return {"chain": chain, "wide": wide, "layered": layered, "sleeping": sleeping, "nap": nap}[kind](*numbers)


def _of_graph(name: str, graph: Graph, seconds: Sequence[float] | None = None) -> Workflow:
    def sleep(ctx: StepContext) -> int:
        number = int(ctx.step[1:])
        Flag().wait(seconds[number] if seconds is not None else 0.0)
        append(record(ctx.input, number))
        return 1

    workflow = Workflow(name)
    steps: list[Step] = []
    for number, parents in enumerate(graph.parents):
        after = [steps[parent] for parent in parents]
        steps.append(add(workflow, number, after, handler=noop if seconds is None else sleep))
    return workflow

"""The shapes as workflows of ours; every step does nothing but append its record."""

from collections.abc import Callable
from functools import cache
from typing import Any, Final

from benchmarks.trace import append, record
from workflow_engine import Step, StepContext, Workflow

UNSERVED: Final = "bench-unserved"
"""A queue that no worker reads: what is sent there can be weighed."""

TIMED: Final = "bench-timed"
"""The queue of the worker that notes when it has sent what."""

SIZES: Final = (10, 100, 1_000, 10_000)


def noop(ctx: StepContext) -> int:
    """Append this step's record; the run's number is its input."""
    append(record(ctx.input, int(ctx.step[1:])))
    return 1


@cache
def chain(length: int, queue: str | None = None) -> Workflow:
    """Return steps that each wait for the one before."""
    workflow = Workflow(_name("chain", length, queue), queue=queue)
    last: list[Step] = []
    for number in range(length):
        last = [add(workflow, number, last)]
    return workflow


@cache
def diamond(queue: str | None = None) -> Workflow:
    """Return four steps: one, two beside each other, one."""
    workflow = Workflow(_name("diamond", 4, queue), queue=queue)
    top = add(workflow, 0, [])
    sides = [add(workflow, number, [top]) for number in (1, 2)]
    add(workflow, 3, sides)
    return workflow


@cache
def wide(width: int, queue: str | None = None) -> Workflow:
    """Return one step, ``width`` steps after it (in ``queue``, if given), and one after all of them."""
    workflow = Workflow(_name("wide", width, queue))
    first = add(workflow, 0, [])
    middle = [add(workflow, number + 1, [first], queue) for number in range(width)]
    add(workflow, width + 1, middle)
    return workflow


def served() -> list[Workflow]:
    """Return every workflow that a worker meets."""
    whole = [chain(100), diamond(), diamond(TIMED), diamond(UNSERVED), wide(20), wide(100), wide(1_000), wide(10_000)]
    return whole + [wide(size - 2, UNSERVED) for size in SIZES]


def add(
    workflow: Workflow, number: int, after: list[Step], queue: str | None = None, handler: Callable[..., Any] = noop
) -> Step:
    """Add the step of a number, whose name says it."""
    step = workflow.step(name=f"s{number:06d}", after=after, queue=queue)(handler)
    if not isinstance(step, Step):
        raise TypeError(step)
    return step


def _name(shape: str, size: int, queue: str | None) -> str:
    return f"{shape}_{size}" + ("" if queue is None else f"_in_{queue}")

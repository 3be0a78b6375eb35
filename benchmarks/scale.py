"""How time grows with what there is to do: with the width of joins, with the size of runs, with the worker's processes.

And how near to the best possible time a layered graph comes. Our side alone, on real servers, everything checked.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

from benchmarks.graphs import first_come_first_served, layered_graph, longest_way_first, lower_bound
from benchmarks.servers import Servers
from benchmarks.shaped import shaped
from benchmarks.shapes import layered, nap, sleeping
from benchmarks.sides import Timing
from benchmarks.workers import PROCESSES
from benchmarks.workflows import chain, diamond, wide
from workflow_engine import Workflow

MOST, MOST_IF_LONG = 10_000, 100_000
LAYERS, WIDTH = 10, 10
NARROW: Final = 5
"""Steps in a layer of the graphs of many sizes."""

DIAMONDS: Final = 500
NAP: Final = 50
"""Milliseconds."""

PROCESS_COUNTS: Final = (1, 2, 4)
THREAD_COUNTS: Final = (1, 2, 5, 10, 20, 50, 100, 200)


@dataclass(frozen=True, slots=True, kw_only=True)
class Makespan:
    """How long a layered graph of sleeping steps took, and how long it must take on as many workers, in seconds."""

    seed: int
    taken: float
    listed: float
    """By list scheduling, the longest way to the end first."""
    queued: float
    """By list scheduling, first come, first served."""
    bound: float
    """The longest way, or half of the work: below it nobody can be."""
    others: float
    """The share of the machine that other programs took."""

    def as_json(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return asdict(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sized:
    """How long steps took, by how much there was of something."""

    what: str
    size: int
    """Of what the curve is about: width, steps, processes, threads."""
    steps: int
    taken: float
    others: float

    @property
    def each(self) -> float:
        """Milliseconds a step."""
        return 1_000 * self.taken / self.steps

    @property
    def rate(self) -> float:
        """Steps a second."""
        return self.steps / self.taken

    def as_json(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return asdict(self)


def makespans(servers: Servers, rounds: int) -> Iterator[Makespan]:
    """Yield how long layered graphs of sleeping steps take on one worker with two processes, a graph a round."""
    seeds = range(1, rounds + 1)
    with shaped(servers, [sleeping(LAYERS, WIDTH, seed) for seed in seeds]) as ours:
        for seed in seeds:
            graph = layered_graph(LAYERS, WIDTH, seed)
            ours.side.client.register(sleeping(LAYERS, WIDTH, seed))
            timing = ours.run(sleeping(LAYERS, WIDTH, seed), LAYERS * WIDTH)
            yield Makespan(
                seed=seed,
                taken=timing.finished,
                listed=longest_way_first(graph, PROCESSES),
                queued=first_come_first_served(graph, PROCESSES),
                bound=lower_bound(graph, PROCESSES),
                others=timing.others,
            )


def joins(servers: Servers, rounds: int, most: int) -> Iterator[Sized]:
    """Yield how long 1 -> N -> 1 takes, for N from 10 to ``most``."""
    widths = _powers_of_ten(most)
    yield from _in_turns(servers, rounds, [("1 -> N -> 1", width, wide(width), width + 2) for width in widths])


def sizes(servers: Servers, rounds: int, most: int) -> Iterator[Sized]:
    """Yield how long runs of 10 to ``most`` steps take: chains and layered graphs."""
    shapes = [
        each
        for size in _powers_of_ten(most)
        for each in (("chain", size, chain(size), size), ("layered", size, layered(size // NARROW, NARROW), size))
    ]
    yield from _in_turns(servers, rounds, shapes)


def processes(servers: Servers, rounds: int) -> Iterator[Sized]:
    """Yield how long diamonds of steps that do nothing take, by the number of a worker's processes."""
    for _ in range(rounds):
        for count in PROCESS_COUNTS:
            with shaped(servers, [], concurrency=count) as ours:
                yield _sized("processes", count, ours.run(diamond(), 4, DIAMONDS), 4 * DIAMONDS)


def threads(servers: Servers, rounds: int) -> Iterator[Sized]:
    """Yield how long runs of one sleeping step take, by the number of a worker's threads."""
    for _ in range(rounds):
        for count in THREAD_COUNTS:
            with shaped(servers, [nap(NAP)], pool="threads", concurrency=count) as ours:
                number = min(40 * count, 4_000)  # two seconds, if nothing but sleep took time
                yield _sized("threads", count, ours.run(nap(NAP), 1, number), number)


def ideal_rate(threads: int) -> float:
    """Return the naps a second of so many threads that do nothing else."""
    return threads * 1_000 / NAP


def by_size(found: Sequence[Sized]) -> Mapping[tuple[str, int], Sequence[Sized]]:
    """Return what was found of each curve's each size."""
    sorted_: dict[tuple[str, int], list[Sized]] = {}
    for each in found:
        sorted_.setdefault((each.what, each.size), []).append(each)
    return sorted_


def _in_turns(servers: Servers, rounds: int, shapes: Sequence[tuple[str, int, Workflow, int]]) -> Iterator[Sized]:
    """Run each shape once, which registers it and lets the worker read its plan, and then once a round."""
    with shaped(servers, [workflow for _, _, workflow, _ in shapes]) as ours:
        for _, _, workflow, steps in shapes:
            ours.run(workflow, steps)
        for number in range(rounds):
            for what, size, workflow, steps in shapes if number % 2 == 0 else shapes[::-1]:
                yield _sized(what, size, ours.run(workflow, steps), steps)


def _sized(what: str, size: int, timing: Timing, steps: int) -> Sized:
    return Sized(what=what, size=size, steps=steps, taken=timing.finished, others=timing.others)


def _powers_of_ten(most: int) -> list[int]:
    found = [10]
    while found[-1] * 10 <= most:
        found.append(found[-1] * 10)
    return found

"""Random graphs of layers, and how soon so many workers can have run one at best."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from heapq import heappop, heappush
from random import Random
from typing import Final

SHORTEST, LONGEST = 0.010, 0.200
"""Seconds that a step takes."""

_MOST_PARENTS: Final = 3


@dataclass(frozen=True, slots=True)
class Graph:
    """Steps by number, each after those it waits for."""

    parents: Sequence[Sequence[int]]
    seconds: Sequence[float]

    @property
    def total(self) -> float:
        """The seconds of all steps together."""
        return sum(self.seconds)


@cache
def layered_graph(layers: int, width: int, seed: int) -> Graph:
    """Return layers of ``width`` steps, each step after one to three of the layer above; the same for the same seed."""
    random = Random(seed)
    parents: list[Sequence[int]] = [[] for _ in range(width)]
    for number in range(width, layers * width):
        above = range((number // width - 1) * width, number // width * width)
        parents.append(sorted(random.sample(above, random.randint(1, min(_MOST_PARENTS, width)))))
    seconds = [random.uniform(SHORTEST, LONGEST) for _ in parents]
    return Graph(parents=parents, seconds=seconds)


def ways_to_the_end(graph: Graph) -> list[float]:
    """Return for each step the seconds of the longest way from its begin to the end of the graph."""
    longest = list(graph.seconds)
    for number in reversed(range(len(longest))):  # children have higher numbers than their parents
        for parent in graph.parents[number]:
            longest[parent] = max(longest[parent], graph.seconds[parent] + longest[number])
    return longest


def lower_bound(graph: Graph, workers: int) -> float:
    """Return the seconds below which nobody can be: the longest way, or the work that each worker has."""
    return max(*ways_to_the_end(graph), graph.total / workers)


def longest_way_first(graph: Graph, workers: int) -> float:
    """Return the makespan where a free worker takes the free step with the longest way to the end."""
    ways = ways_to_the_end(graph)
    return _list_schedule(graph, workers, lambda number, _: -ways[number])


def first_come_first_served(graph: Graph, workers: int) -> float:
    """Return the makespan where a free worker takes the step that has been free for longest."""
    return _list_schedule(graph, workers, lambda _, free_at: free_at)


def _list_schedule(graph: Graph, workers: int, urgency: Callable[[int, float], float]) -> float:
    children = _children(graph)
    missing = [len(parents) for parents in graph.parents]
    free = sorted((urgency(number, 0.0), number) for number, count in enumerate(missing) if count == 0)
    busy: list[tuple[float, int]] = []
    now = 0.0
    while free or busy:
        while free and len(busy) < workers:
            _, number = heappop(free)
            heappush(busy, (now + graph.seconds[number], number))
        now, done = heappop(busy)
        for child in children[done]:
            missing[child] -= 1
            if missing[child] == 0:
                heappush(free, (urgency(child, now), child))
    return now


def _children(graph: Graph) -> list[list[int]]:
    children: list[list[int]] = [[] for _ in graph.parents]
    for number, parents in enumerate(graph.parents):
        for parent in parents:
            children[parent].append(number)
    return children

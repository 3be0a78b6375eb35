"""Nodes and edges: order, reachability, components. Knows no workflow."""

from collections.abc import Iterable, Mapping, Sequence
from heapq import heapify, heappop, heappush

Edges = Mapping[int, Sequence[int]]
"""For each node, its parents (or children)."""


def topological_order(parents: Sequence[Sequence[int]]) -> list[int]:
    """Return the nodes so that each comes after its parents; among the free ones the lowest number first.

    Kahn's algorithm (1962) with a heap, which keeps the author's order where the graph allows it. The graph must
    have no cycle.
    """
    children: list[list[int]] = [[] for _ in parents]
    for node, its_parents in enumerate(parents):
        for parent in its_parents:
            children[parent].append(node)
    missing = [len(its_parents) for its_parents in parents]
    free = [node for node, count in enumerate(missing) if count == 0]
    heapify(free)
    order = []
    while free:
        node = heappop(free)
        order.append(node)
        for child in children[node]:
            missing[child] -= 1
            if missing[child] == 0:
                heappush(free, child)
    return order


def reachable(start: Iterable[int], edges: Edges | Sequence[Sequence[int]]) -> set[int]:
    """Return all that ``start`` leads to along ``edges``, without ``start`` itself (there are no cycles)."""
    found: set[int] = set()
    to_visit = list(start)
    while to_visit:
        for node in edges[to_visit.pop()]:
            if node not in found:
                found.add(node)
                to_visit.append(node)
    return found


def components(nodes: Sequence[int], parents: Sequence[Sequence[int]]) -> list[list[int]]:
    """Return the weakly connected parts of the subgraph of ``nodes``, each in the given order."""
    inside = set(nodes)
    root = {node: node for node in nodes}

    def find(node: int) -> int:
        while root[node] != node:
            root[node] = root[root[node]]
            node = root[node]
        return node

    for node in nodes:
        for parent in parents[node]:
            if parent in inside:
                root[find(parent)] = find(node)
    parts: dict[int, list[int]] = {}
    for node in nodes:
        parts.setdefault(find(node), []).append(node)
    return list(parts.values())


def levels(nodes: Sequence[int], parents: Sequence[Sequence[int]]) -> list[list[int]]:
    """Return ``nodes`` (in topological order) by their longest distance from a source of the subgraph."""
    depth: dict[int, int] = {}
    for node in nodes:
        depth[node] = 1 + max((depth[parent] for parent in parents[node] if parent in depth), default=-1)
    by_level: list[list[int]] = [[] for _ in range(max(depth.values(), default=-1) + 1)]
    for node in nodes:
        by_level[depth[node]].append(node)
    return by_level

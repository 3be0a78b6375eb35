"""Draw a graph from top to bottom: a line for each step, with lanes beside it, as `git log --graph` has them.

A lane leads to one step. A step's own line turns into the lanes of those that wait for it; a lane that it only crosses
goes on unbroken.
"""

from collections.abc import Sequence

_NODE = "●"


def draw_lanes(labels: Sequence[str], parents: Sequence[Sequence[int]]) -> list[str]:
    """Return the lines of a drawing; ``parents`` are positions in ``labels``, which is in topological order."""
    children: list[list[int]] = [[] for _ in parents]
    for node, its_parents in enumerate(parents):
        for parent in its_parents:
            children[parent].append(node)
    lanes: list[int | None] = []
    drawn: list[tuple[str, str]] = []
    ended: int | None = None  # a lane that ended just above: what starts right under it would look like its child
    for node, label in enumerate(labels):
        own = _lane_of(lanes, node, avoid=ended)
        ended = None if children[node] else own
        lanes[own] = None
        drawn.append((_node_line(lanes, own), label))
        before = list(lanes)
        joined = [_lane_of(lanes, child, near=own) for child in children[node]]
        for lane, child in zip(joined, children[node], strict=True):
            lanes[lane] = child
        if joined and joined != [own]:
            drawn.append((_turns(before, lanes, own, joined), ""))
        while lanes and lanes[-1] is None:
            lanes.pop()
    width = max(len(line) for line, _ in drawn)
    return [f"{line.ljust(width)} {label}".rstrip() for line, label in drawn]


def _lane_of(lanes: list[int | None], node: int, *, near: int = 0, avoid: int | None = None) -> int:
    """Return the lane that leads to ``node``; else a free one at or right of ``near``, made if there is none."""
    if node in lanes:
        return lanes.index(node)
    free = (lane for lane in range(near, len(lanes) + 2) if lane != avoid and not _is_taken(lanes, lane))
    lane = next(free)
    lanes.extend([None] * (lane + 1 - len(lanes)))
    lanes[lane] = node
    return lane


def _is_taken(lanes: Sequence[int | None], lane: int) -> bool:
    return lane < len(lanes) and lanes[lane] is not None


def _node_line(lanes: Sequence[int | None], own: int) -> str:
    return " ".join(_NODE if lane == own else " " if target is None else "│" for lane, target in enumerate(lanes))


def _turns(before: Sequence[int | None], after: Sequence[int | None], own: int, joined: Sequence[int]) -> str:
    """Return the line under a step: from its lane to each of ``joined``."""
    first, last = min(own, *joined), max(own, *joined)
    parts = []
    for lane, target in enumerate(after):
        inside = first <= lane <= last
        was = lane < len(before) and before[lane] is not None
        if lane == own or lane in joined:
            glyph = _turn(up=lane == own or was, down=target is not None, left=lane > first, right=lane < last)
        else:
            glyph = "│" if target is not None else "─" if inside else " "
        parts.append(glyph + ("─" if first <= lane < last else " "))
    return "".join(parts).rstrip()


def _turn(*, up: bool, down: bool, left: bool, right: bool) -> str:
    if up and down:
        return "┼" if left and right else "┤" if left else "├" if right else "│"
    if down:
        return "┬" if left and right else "╮" if left else "╭"
    return "┴" if left and right else "╯" if left else "╰"

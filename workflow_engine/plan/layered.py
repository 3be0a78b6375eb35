"""Draw a small graph from left to right: a column for each level, lines between them.

The method is Sugiyama's (levels, an order within each, places), with lines at right angles between two levels as in
channel routing. Reading it is simple: from a step go right; at a vertical line turn, and leave it only to the right.
A line that meets a vertical one without turning into it passes under it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from math import floor
from typing import Final

from workflow_engine.plan.graph import levels

_SWEEPS: Final = 6
_NARROWEST: Final = 4
"""Characters between two columns without a vertical line: `` ── ``."""
_GLYPHS: Final[Mapping[tuple[bool, bool], str]] = {(True, True): "│├┤┼", (False, True): " ┌┐┬", (True, False): " └┘┴"}
"""For a vertical line that goes on (up, down): alone, with an arm to the right, to the left, to both."""


@dataclass(slots=True, eq=False)
class _Place:
    """A step, or a bend: where a line crosses a level on its way to a later one."""

    label: str | None
    children: list["_Place"] = field(default_factory=list)
    parents: list["_Place"] = field(default_factory=list)
    row: int = 0


@dataclass(slots=True, eq=False)
class _Net:
    """Lines between two levels that share one vertical line: every source leads to every target."""

    sources: Sequence[_Place]
    targets: Sequence[_Place]
    column: int = 0

    @property
    def rows(self) -> range:
        """The rows it spans."""
        rows = [place.row for place in (*self.sources, *self.targets)]
        return range(min(rows), max(rows) + 1)


def draw_layered(labels: Sequence[str], parents: Sequence[Sequence[int]], width: int) -> list[str] | None:
    """Return the lines of a drawing, or None if it is wider than ``width``.

    ``parents`` are positions in ``labels``, which is in topological order.
    """
    columns = _columns(labels, parents)
    widths = [max(len(place.label or "") for place in column) for column in columns]
    if sum(widths) + _NARROWEST * (len(columns) - 1) > width:
        return None
    _order(columns)
    _settle(columns)
    while (routed := _route_all(columns)) is None:
        continue
    if sum(widths) + sum(_gutter_width(nets) for nets in routed) > width:
        return None
    return _render(columns, widths, routed)


def _columns(labels: Sequence[str], parents: Sequence[Sequence[int]]) -> list[list[_Place]]:
    """Return the levels as columns of places, with bends where an edge is longer than one level."""
    level = _levels(parents)
    columns: list[list[_Place]] = [[] for _ in range(max(level) + 1)]
    places = [_Place(label) for label in labels]
    reach = list(places)  # how far to the right each step's line has been drawn
    for node, place in enumerate(places):
        columns[level[node]].append(place)
    reached = list(level)
    for node in sorted(range(len(labels)), key=lambda each: level[each]):
        for parent in parents[node]:
            while reached[parent] < level[node] - 1:
                bend = _Place(None)
                reached[parent] += 1
                columns[reached[parent]].append(bend)
                _join(reach[parent], bend)
                reach[parent] = bend
            _join(_at(places[parent], level[node] - 1 - level[parent]), places[node])
    return columns


def _levels(parents: Sequence[Sequence[int]]) -> list[int]:
    """Return each node's level; a root stands just before the first that waits for it."""
    level = [0] * len(parents)
    for number, nodes in enumerate(levels(range(len(parents)), parents)):
        for node in nodes:
            level[node] = number
    for node, its_parents in enumerate(parents):
        children = [child for child, others in enumerate(parents) if node in others]
        if not its_parents and children:
            level[node] = min(level[child] for child in children) - 1
    return level


def _at(place: _Place, steps: int) -> _Place:
    """Follow a line to the right, past so many bends."""
    for _ in range(steps):
        place = next(child for child in place.children if child.label is None)
    return place


def _join(left: _Place, right: _Place) -> None:
    left.children.append(right)
    right.parents.append(left)


def _order(columns: list[list[_Place]]) -> None:
    """Put each column in the order of its neighbours' middles, to and fro; keep the order with the fewest crossings."""
    best, fewest = [list(column) for column in columns], _crossings(columns)
    for sweep in range(_SWEEPS):
        backwards = sweep % 2 == 1
        for column in reversed(columns) if backwards else columns:
            index = {place: number for other in columns for number, place in enumerate(other)}
            column.sort(key=lambda place: _middle(place, index, backwards=backwards))
        if (crossings := _crossings(columns)) < fewest:
            best, fewest = [list(column) for column in columns], crossings
    columns[:] = best


def _middle(place: _Place, index: Mapping[_Place, int], *, backwards: bool) -> float:
    neighbours = place.children if backwards else place.parents
    if not neighbours:
        return index[place]
    return sum(index[each] for each in neighbours) / len(neighbours)


def _crossings(columns: Sequence[Sequence[_Place]]) -> int:
    count = 0
    for left, right in pairwise(columns):
        index = {place: number for number, place in enumerate(right)}
        ends = [sorted(index[child] for child in place.children) for place in left]
        for number, mine in enumerate(ends):
            count += sum(a > b for others in ends[number + 1 :] for a in mine for b in others)
    return count


def _settle(columns: Sequence[Sequence[_Place]]) -> None:
    """Give every place a row: near the middle of its neighbours, in the order of its column."""
    for column in columns:
        for row, place in enumerate(column):
            place.row = row
    for sweep in range(_SWEEPS):
        backwards = sweep % 2 == 0
        for column in reversed(columns) if backwards else columns:
            wishes = [_wish(place, backwards=backwards) for place in column]
            for place, row in zip(column, _spread(wishes), strict=True):
                place.row = row
    top = min(place.row for column in columns for place in column)
    for column in columns:
        for place in column:
            place.row -= top


def _wish(place: _Place, *, backwards: bool) -> float:
    rows = sorted(each.row for each in (place.children if backwards else place.parents))
    if not rows:
        return place.row
    return rows[(len(rows) - 1) // 2]


def _spread(wishes: Sequence[float]) -> list[int]:
    """Return rising rows as close to ``wishes`` as their order allows (pool adjacent violators)."""
    blocks: list[tuple[float, int]] = []  # the sum and the number of the wishes, each less its place in the order
    for number, wish in enumerate(wishes):
        total, count = wish - number, 1
        while blocks and blocks[-1][0] / blocks[-1][1] >= total / count:
            before, size = blocks.pop()
            total, count = total + before, count + size
        blocks.append((total, count))
    starts = [floor(total / count + 0.5) for total, count in blocks for _ in range(count)]
    return [start + number for number, start in enumerate(starts)]


def _route_all(columns: Sequence[Sequence[_Place]]) -> list[list[_Net]] | None:
    """Return the nets of every gutter; None after making room for one that had none: then try again."""
    routed = []
    for left, right in pairwise(columns):
        nets = _nets(left, right)
        stuck = _assign_columns(nets, left, right)
        if stuck is not None:
            _make_room(columns, stuck)
            return None
        routed.append(nets)
    return routed


def _nets(left: Sequence[_Place], right: Sequence[_Place]) -> list[_Net]:
    """Share vertical lines among equals: sources with the same children, or targets with the same parents."""
    by_children: dict[frozenset[_Place], list[_Place]] = {}
    for place in left:
        if place.children:
            by_children.setdefault(frozenset(place.children), []).append(place)
    by_parents: dict[frozenset[_Place], list[_Place]] = {}
    for place in right:
        if place.parents:
            by_parents.setdefault(frozenset(place.parents), []).append(place)
    fans_out = [_Net(sources, _in_order(children, right)) for children, sources in by_children.items()]
    fans_in = [_Net(_in_order(parents, left), targets) for parents, targets in by_parents.items()]
    return min(fans_out, fans_in, key=lambda nets: sum(len(net.rows) > 1 for net in nets))


def _in_order(some: frozenset[_Place], column: Sequence[_Place]) -> list[_Place]:
    return [place for place in column if place in some]


def _assign_columns(nets: Sequence[_Net], left: Sequence[_Place], right: Sequence[_Place]) -> _Place | None:
    """Give each bent net a column; return a target that needs a row of its own, if there is no way otherwise.

    Where a source and a target stand in one row, the source's line must end before the target's begins.
    """
    bent = [net for net in nets if len(net.rows) > 1]
    sources, targets = ({place.row: place for place in column} for column in (left, right))
    before: dict[_Net, set[_Net]] = {net: set() for net in bent}
    for row in sources.keys() & targets.keys():
        for late in bent:
            if targets[row] in late.targets:
                before[late] |= {net for net in bent if net is not late and sources[row] in net.sources}
    taken: list[tuple[range, int]] = []
    waiting = sorted(bent, key=lambda net: (net.rows.start, -len(net.rows)))
    while waiting:
        net = next((each for each in waiting if not before[each].intersection(waiting)), None)
        if net is None:
            return next(place for row, place in targets.items() if row in sources and place in waiting[0].targets)
        waiting.remove(net)
        net.column = 1 + max((each.column for each in before[net]), default=-1)
        while any(column == net.column and _meet(rows, net.rows) for rows, column in taken):
            net.column += 1
        taken.append((net.rows, net.column))
    return None


def _meet(one: range, other: range) -> bool:
    return one.start < other.stop and other.start < one.stop


def _make_room(columns: Sequence[Sequence[_Place]], stuck: _Place) -> None:
    """Move a place down into a new row of its own."""
    row = stuck.row
    for column in columns:
        for place in column:
            if place.row > row or place is stuck:
                place.row += 1


def _gutter_width(nets: Sequence[_Net]) -> int:
    """Return the characters between two columns: `` ── ``, `` ─┬─ ``, `` ─┬─┬─ `` …"""
    bent = [net.column for net in nets if len(net.rows) > 1]
    return 5 + 2 * max(bent) if bent else _NARROWEST


def _render(columns: Sequence[Sequence[_Place]], widths: Sequence[int], routed: Sequence[Sequence[_Net]]) -> list[str]:
    height = 1 + max(place.row for column in columns for place in column)
    lines = [[""] * height for _ in range(2 * len(columns) - 1)]
    for number, column in enumerate(columns):
        nets = routed[number] if number < len(routed) else ()
        lines[2 * number] = _column_text(column, widths[number], height, last=number == len(columns) - 1)
        if nets:
            lines[2 * number + 1] = _gutter_text(nets, widths[number], height)
    return ["".join(parts).rstrip() for parts in zip(*lines, strict=True)]


def _column_text(column: Sequence[_Place], width: int, height: int, *, last: bool) -> list[str]:
    text = [" " * width] * height
    for place in column:
        if place.label is None:
            text[place.row] = "─" * width
        elif not place.children or last or len(place.label) == width:
            text[place.row] = place.label.ljust(width)
        else:
            text[place.row] = f"{place.label} ".ljust(width, "─")
    return text


def _gutter_text(nets: Sequence[_Net], before: int, height: int) -> list[str]:
    """Return the rows between a column that is ``before`` characters wide and the next."""
    width = _gutter_width(nets)
    grid = [[" "] * width for _ in range(height)]
    for net in nets:
        at = 2 + 2 * net.column
        straight = len(net.rows) == 1
        for place in net.sources:
            ends_here = place.label is not None and len(place.label) == before  # a line may not touch a name
            _draw_line(grid[place.row], int(ends_here), width if straight else at)
        for place in net.targets:
            _draw_line(grid[place.row], 1 if straight else at, width if place.label is None else width - 1)
        if straight and net.targets[0].label is not None:
            grid[net.targets[0].row][width - 1] = " "
    for net in nets:
        _draw_trunk(grid, net)
    return ["".join(row) for row in grid]


def _draw_line(row: list[str], start: int, stop: int) -> None:
    row[start:stop] = "─" * (stop - start)


def _draw_trunk(grid: list[list[str]], net: _Net) -> None:
    if len(net.rows) == 1:
        return
    arms_left = {place.row for place in net.sources}
    arms_right = {place.row for place in net.targets}
    for row in net.rows:
        ways = (row > net.rows.start, row < net.rows.stop - 1)
        grid[row][2 + 2 * net.column] = _GLYPHS[ways][(row in arms_right) + 2 * (row in arms_left)]

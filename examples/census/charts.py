"""Charts as inline SVG: plain text that works offline and prints sharp. Colours are in ``report.css``."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape
from math import cos, degrees, pi, sin, sqrt

from examples.census.wording import shortened

HEAT = (2.0, 3.0, 4.0, 6.0)
"""Mean complexities at which a tile takes the next warmer colour."""

_CHARACTER, _LINE = 6.6, 20
"""Width and height in pixels of a character of a label, about."""

_TINY_CHARACTER, _TINY_LINE = 5.3, 13
_PADDING = 8

_LONGEST_NAME = 12
"""Characters of a name around a wheel: what its margin has room for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tile:
    """One rectangle of a treemap."""

    label: str
    size: float
    heat: float | None
    """None: it stands for several."""
    hint: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """One column of a bar chart."""

    label: str
    value: int
    hint: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Arc:
    """One connection of a wheel, between the names at its two ends."""

    start: str
    end: str
    mutual: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Spoke:
    """One name on the rim of a wheel."""

    name: str
    weight: int
    kind: str


@dataclass(frozen=True, slots=True)
class Box:
    """A place in a chart."""

    x: float
    y: float
    width: float
    height: float


def treemap(tiles: Sequence[Tile], *, width: int, height: int) -> str:
    """Return a treemap: areas are sizes, colours are heat, the largest tile top left, the rest last."""
    shown = sorted((tile for tile in tiles if tile.size > 0), key=lambda tile: (tile.heat is None, -tile.size))
    boxes = squarify([tile.size for tile in shown], Box(0, 0, width, height))
    body = "".join(_tile(tile, box) for tile, box in zip(shown, boxes, strict=True))
    return _svg(body, width, height, "treemap", "Packages by lines of code; warmer colours are more complex")


def squarify(sizes: Sequence[float], space: Box) -> Iterator[Box]:
    """Fill ``space`` with boxes of the given sizes (falling), as square as can be (Bruls, Huizing, van Wijk 2000)."""
    scale = space.width * space.height / (sum(sizes) or 1)
    areas = [size * scale for size in sizes]
    while areas:
        side = min(space.width, space.height)
        count = 1
        while count < len(areas) and _worst(areas[: count + 1], side) <= _worst(areas[:count], side):
            count += 1
        row, areas = areas[:count], areas[count:]
        boxes, space = _lay_row(row, space)
        yield from boxes


def columns(bars: Sequence[Bar], *, width: int, height: int) -> str:
    """Return a bar chart with each value above its bar and each label below."""
    highest = max((bar.value for bar in bars), default=0) or 1
    step = width / (len(bars) or 1)
    floor = height - 24
    body = [f'<line class="axis" x1="0" x2="{width}" y1="{floor}" y2="{floor}"/>']
    for position, bar in enumerate(bars):
        tall = max((floor - 24) * bar.value / highest, 2 if bar.value else 0)
        left, middle = position * step + step * 0.12, (position + 0.5) * step
        body.append(
            f'<g class="heat-{position * 5 // len(bars)}"><title>{escape(bar.hint)}</title>'
            f'<rect x="{left:.1f}" y="{floor - tall:.1f}" width="{step * 0.76:.1f}" height="{tall:.1f}" rx="3"/>'
            f'<text class="value" x="{middle:.1f}" y="{floor - tall - 7:.1f}">{bar.value:,}</text>'
            f'<text class="tick" x="{middle:.1f}" y="{height - 6}">{escape(bar.label)}</text></g>'
        )
    return _svg("".join(body), width, height, "columns", "Functions by complexity")


def wheel(spokes: Sequence[Spoke], arcs: Sequence[Arc], *, size: int, margin: int = 94) -> str:
    """Return names on a rim, joined through the middle; the heavier a name, the larger its dot."""
    centre, radius = size / 2, size / 2 - margin
    angles = {spoke.name: 2 * pi * place / len(spokes) - pi / 2 for place, spoke in enumerate(spokes)}
    heaviest = max((spoke.weight for spoke in spokes), default=1) or 1
    lines = "".join(
        _arc(arc, angles[arc.start], angles[arc.end], centre, radius)
        for arc in sorted(arcs, key=lambda arc: arc.mutual)
        if arc.start in angles and arc.end in angles
    )
    dots = "".join(
        _spoke(spoke, angles[spoke.name], centre, radius, 3 + 7 * sqrt(spoke.weight / heaviest)) for spoke in spokes
    )
    return _svg(lines + dots, size, size, "wheel", "Who imports whom among the most imported names")


def heat_class(heat: float | None) -> str:
    """Return the colour's class: ``heat-0`` (cool) to ``heat-4`` (hot), or ``rest``."""
    return "rest" if heat is None else f"heat-{sum(limit <= heat for limit in HEAT)}"


def _svg(body: str, width: int, height: int, kind: str, title: str) -> str:
    return f'<svg class="{kind}" viewBox="0 0 {width} {height}" role="img" aria-label="{escape(title)}">{body}</svg>'


def _tile(tile: Tile, box: Box) -> str:
    width, height = max(box.width - 2, 0), max(box.height - 2, 0)
    x, y = box.x + 1, box.y + 1
    return (
        f'<g class="{heat_class(tile.heat)}"><title>{escape(tile.hint)}</title>'
        f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}" rx="3"/>'
        f"{_tile_texts(tile, Box(x, y, width, height))}</g>"
    )


def _tile_texts(tile: Tile, box: Box) -> str:
    """Return the label, and the size below it, as far as there is room."""
    label, size = escape(tile.label), f"{tile.size:,.0f}"
    if box.height > _LINE and box.width > len(tile.label) * _CHARACTER + 2 * _PADDING:
        text = f'<text x="{box.x + _PADDING:.1f}" y="{box.y + 17:.1f}">{label}</text>'
        if box.height > 2 * _LINE and box.width > len(size) * _CHARACTER + 2 * _PADDING:
            text += f'<text class="small" x="{box.x + _PADDING:.1f}" y="{box.y + 32:.1f}">{size}</text>'
        return text
    if box.height > _TINY_LINE and box.width > len(tile.label) * _TINY_CHARACTER + _PADDING:
        return f'<text class="tiny" x="{box.x + _PADDING / 2:.1f}" y="{box.y + 11:.1f}">{label}</text>'
    return ""


def _worst(row: Sequence[float], side: float) -> float:
    """Return the worst ratio of sides in a row of areas along ``side``."""
    total = sum(row)
    return max(side * side * max(row) / (total * total), total * total / (side * side * min(row)))


def _lay_row(row: Sequence[float], space: Box) -> tuple[list[Box], Box]:
    """Lay a row along the shorter side; return its boxes and the space left."""
    boxes, depth, offset = [], sum(row) / min(space.width, space.height), 0.0
    across = space.width >= space.height
    for area in row:
        length = area / depth
        boxes.append(
            Box(space.x, space.y + offset, depth, length) if across else Box(space.x + offset, space.y, length, depth)
        )
        offset += length
    if across:
        return boxes, Box(space.x + depth, space.y, max(space.width - depth, 1e-9), space.height)
    return boxes, Box(space.x, space.y + depth, space.width, max(space.height - depth, 1e-9))


def _arc(arc: Arc, start: float, end: float, centre: float, radius: float) -> str:
    x1, y1 = centre + radius * cos(start), centre + radius * sin(start)
    x2, y2 = centre + radius * cos(end), centre + radius * sin(end)
    # Bend towards the middle, but not all the way: lines through one point cannot be told apart.
    bend_x = centre + radius * 0.35 * (cos(start) + cos(end)) / 2
    bend_y = centre + radius * 0.35 * (sin(start) + sin(end)) / 2
    ends = f'data-start="{escape(arc.start)}" data-end="{escape(arc.end)}"'
    return (
        f'<path class="arc{" mutual" if arc.mutual else ""}" {ends} '
        f'd="M{x1:.1f} {y1:.1f}Q{bend_x:.1f} {bend_y:.1f} {x2:.1f} {y2:.1f}"/>'
    )


def _spoke(spoke: Spoke, angle: float, centre: float, radius: float, dot: float) -> str:
    x, y = centre + radius * cos(angle), centre + radius * sin(angle)
    turn = degrees(angle)
    left = round(cos(angle), 9) < 0
    place = f"translate({x:.1f} {y:.1f}) rotate({turn + 180 if left else turn:.1f})"
    anchor, shift = ("end", -dot - 6) if left else ("start", dot + 6)
    return (
        f'<g class="spoke {escape(spoke.kind)}" data-name="{escape(spoke.name)}" transform="{place}">'
        f"<title>{escape(spoke.name)}: imported by {spoke.weight:,}</title>"
        f'<circle r="{dot:.1f}"/><text x="{shift:.1f}" y="4" text-anchor="{anchor}">'
        f"{escape(shortened(spoke.name, _LONGEST_NAME))}</text></g>"
    )

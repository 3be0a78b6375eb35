"""Draws a chart as SVG, in plain Python: points, lines, two axes, a legend; for light pages and dark ones."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import ceil, floor, log10
from typing import Final
from xml.sax.saxutils import escape

WIDTH, HEIGHT = 760, 440
_LEFT, _RIGHT, _TOP, _BOTTOM = 76, 36, 74, 62
_LEGEND_ROW: Final = 20
_LETTER: Final = 6.6
"""Pixels of a letter of the legend, about."""

_KEY: Final = 46
"""Pixels of a legend's line, and of what is between entries."""

_STYLE: Final = """
  svg { --page: #ffffff; --ink: #1f2328; --soft: #59636e; --grid: #e3e7ec; --axis: #9aa4ae;
        --c0: #0b62c4; --c1: #c2410c; --c2: #1a7f37; --c3: #8250df; --c4: #b3367c; --c5: #6b5e00; --aim: #59636e; }
  @media (prefers-color-scheme: dark) {
    svg { --page: #0d1117; --ink: #e6edf3; --soft: #9aa6b2; --grid: #252c35; --axis: #5b6672;
          --c0: #58a6ff; --c1: #f0883e; --c2: #3fb950; --c3: #bc8cff; --c4: #f778ba; --c5: #d9c74a; --aim: #9aa6b2; }
  }
  text { font: 12px system-ui, -apple-system, "Segoe UI", Roboto, Arial, sans-serif; fill: var(--soft); }
  .title { font-size: 16px; font-weight: 600; fill: var(--ink); }
  .name { fill: var(--ink); }
  .page { fill: var(--page); }
  .grid { stroke: var(--grid); stroke-width: 1; }
  .axis { stroke: var(--axis); stroke-width: 1; }
  .line { fill: none; stroke-width: 2; stroke-linejoin: round; stroke-linecap: round; }
  .dashed { stroke-width: 1.5; stroke-dasharray: 6 5; }
  .point { stroke: var(--page); stroke-width: 1.5; }
"""


@dataclass(frozen=True, slots=True)
class Axis:
    """One direction of a chart."""

    label: str
    """With its unit."""
    logarithmic: bool = False
    names: Sequence[str] = ()
    """Of places 0, 1, 2 …, for an axis without numbers."""
    least: float | None = None
    """What it reaches down to at least; a straight axis always has its 0."""
    most: float | None = None
    """What it reaches at least."""
    ticks: Sequence[float] = ()
    """Where its numbers are, unless it may choose."""


@dataclass(frozen=True, slots=True)
class Series:
    """A curve."""

    name: str
    points: Sequence[tuple[float, float]]
    dashed: bool = False
    """A line to compare with, without points of its own."""
    joined: bool = True
    """Whether a line leads from point to point."""


@dataclass(frozen=True, slots=True)
class Chart:
    """What is drawn."""

    title: str
    subtitle: str
    across: Axis
    up: Axis
    series: Sequence[Series] = field(default_factory=list)


def draw(chart: Chart) -> str:
    """Return the chart as an SVG document; each point has its numbers as a tooltip."""
    rows = _legend_rows(chart.series)
    top = _TOP + _LEGEND_ROW * len(rows)
    everything = [point for series in chart.series for point in series.points]
    across = _Scale(chart.across, [x for x, _ in everything], _LEFT, WIDTH - _RIGHT)
    up = _Scale(chart.up, [y for _, y in everything], HEIGHT - _BOTTOM, top)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}" '
        f'role="img" aria-labelledby="title about">',
        f'<title id="title">{escape(chart.title)}</title>',
        f'<desc id="about">{escape(chart.subtitle)}</desc>',
        f"<style>{_STYLE}</style>",
        f'<rect class="page" width="{WIDTH}" height="{HEIGHT}" rx="8"/>',
        f'<text class="title" x="20" y="30">{escape(chart.title)}</text>',
        f'<text x="20" y="50">{escape(chart.subtitle)}</text>',
        *_legend(rows),
        *_axes(chart, across, up, top),
    ]
    for number, series in sorted(enumerate(chart.series), key=lambda each: not each[1].dashed):  # points on top
        parts += _curve(chart, series, _colour(chart.series, number), across, up)
    return "\n".join((*parts, "</svg>", ""))


class _Scale:
    """Where on the paper a value is."""

    def __init__(self, axis: Axis, values: Sequence[float], begin: float, end: float) -> None:
        self._logarithmic = axis.logarithmic
        self._begin, self._end = begin, end
        self.ticks = list(axis.ticks) or self._choose(axis, values)
        known = [*values, *self.ticks, *([axis.least] if axis.least is not None else [])]
        self._least, self._most = (self._flat(each) for each in (min(known), max(known)))
        if axis.names:
            self._least, self._most = -0.5, len(axis.names) - 0.5
        elif axis.logarithmic and begin < end:  # points on an axis can be seen whole
            room = 0.02 * (self._most - self._least)
            self._least, self._most = self._least - room, self._most + room

    def place(self, value: float) -> float:
        """Return the pixel of a value."""
        share = (self._flat(value) - self._least) / ((self._most - self._least) or 1.0)
        return round(self._begin + share * (self._end - self._begin), 1)

    def _flat(self, value: float) -> float:
        return log10(value) if self._logarithmic else value

    def _choose(self, axis: Axis, values: Sequence[float]) -> list[float]:
        if axis.names:
            return [float(number) for number in range(len(axis.names))]
        most = max(*values, axis.most if axis.most is not None else max(values))
        if axis.logarithmic:
            least = min(*values, axis.least if axis.least is not None else min(values))
            return [float(10**power) for power in range(floor(log10(least)), ceil(log10(most)) + 1)]
        least = min(0.0, axis.least) if axis.least is not None else 0.0
        step = _round_step((most - least) / 5)
        first, last = floor(round(least / step, 6)), ceil(round(most / step, 6))
        return [round(number * step, 10) for number in range(first, last + 1)]


def _round_step(wanted: float) -> float:
    """Return the next of 1, 2, 2.5, 5, 10 times a power of ten."""
    power = 10.0 ** floor(log10(wanted))
    return next(each * power for each in (1, 2, 2.5, 5, 10) if each * power >= wanted * 0.999)


def _axes(chart: Chart, across: _Scale, up: _Scale, top: float) -> list[str]:
    bottom, right = HEIGHT - _BOTTOM, WIDTH - _RIGHT
    parts = []
    for tick in up.ticks:
        y = up.place(tick)
        parts.append(f'<line class="grid" x1="{_LEFT}" x2="{right}" y1="{y}" y2="{y}"/>')
        parts.append(f'<text x="{_LEFT - 8}" y="{y + 4}" text-anchor="end">{number(tick)}</text>')
    for tick in across.ticks:
        x = across.place(tick)
        label = chart.across.names[int(tick)] if chart.across.names else number(tick)
        if not chart.across.names:
            parts.append(f'<line class="grid" x1="{x}" x2="{x}" y1="{top}" y2="{bottom}"/>')
        parts.append(f'<text x="{x}" y="{bottom + 20}" text-anchor="middle">{escape(label)}</text>')
    middle = (top + bottom) / 2
    return [
        *parts,
        f'<line class="axis" x1="{_LEFT}" x2="{right}" y1="{bottom}" y2="{bottom}"/>',
        f'<text x="{(_LEFT + right) / 2}" y="{HEIGHT - 16}" text-anchor="middle">{escape(chart.across.label)}</text>',
        f'<text transform="translate(22 {middle}) rotate(-90)" text-anchor="middle">{escape(chart.up.label)}</text>',
    ]


def _curve(chart: Chart, series: Series, colour: str, across: _Scale, up: _Scale) -> list[str]:
    places = [(across.place(x), up.place(y)) for x, y in series.points]
    kind = "line dashed" if series.dashed else "line"
    line = " ".join(f"{x},{y}" for x, y in places)
    parts = [f'<polyline class="{kind}" style="stroke: {colour}" points="{line}"/>'] if series.joined else []
    if series.dashed:
        return parts
    for (x, y), (left, height) in zip(series.points, places, strict=True):
        where = chart.across.names[round(x)] if chart.across.names else number(x)
        told = f"{series.name}: {where}, {number(y)}"
        parts.append(
            f'<circle class="point" style="fill: {colour}" cx="{left}" cy="{height}" r="4.5">'
            f"<title>{escape(told)}</title></circle>"
        )
    return parts


def _colour(series: Sequence[Series], place: int) -> str:
    if series[place].dashed:
        return "var(--aim)" if sum(each.dashed for each in series) == 1 else f"var(--c{5 - place % 3})"
    return f"var(--c{sum(not each.dashed for each in series[:place]) % 6})"


def _legend_rows(series: Sequence[Series]) -> list[list[tuple[float, Series, str]]]:
    """Return the legend's entries with their places, in as many rows as they need."""
    rows: list[list[tuple[float, Series, str]]] = [[]]
    x = 20.0
    for place, each in enumerate(series):
        room = _KEY + _LETTER * len(each.name)
        if rows[-1] and x + room > WIDTH - 20:
            rows.append([])
            x = 20.0
        rows[-1].append((x, each, _colour(series, place)))
        x += room
    return rows


def _legend(rows: Sequence[Sequence[tuple[float, Series, str]]]) -> list[str]:
    parts = []
    for row, entries in enumerate(rows):
        y = _TOP + _LEGEND_ROW * row
        for x, series, colour in entries:
            kind = "line dashed" if series.dashed else "line"
            if series.joined:
                parts.append(
                    f'<line class="{kind}" style="stroke: {colour}" x1="{x}" x2="{x + 22}" y1="{y - 4}" y2="{y - 4}"/>'
                )
            if not series.dashed:
                parts.append(f'<circle style="fill: {colour}" cx="{x + 11}" cy="{y - 4}" r="4"/>')
            parts.append(f'<text class="name" x="{x + 29}" y="{y}">{escape(series.name)}</text>')
    return parts


def number(value: float) -> str:
    """Return a number as people read it."""
    if value >= 1_000 or value == int(value):
        return f"{value:,.0f}"
    return f"{value:.3g}"

"""The census as one HTML page that needs nothing but itself, and as JSON."""

import json
from collections.abc import Sequence
from datetime import datetime
from html import escape
from pathlib import Path, PurePath

from examples.census import charts
from examples.census.findings import Finding, Totals, findings, totals
from examples.census.rows import Census, FunctionRow, Hub, ImportGraph, PackageRow, SkippedRow
from examples.census.shard import BANDS
from examples.census.tables import Column, Columns, table
from examples.census.wording import counted, some

ROWS = 15
"""Rows of a table."""

HUBS = 22

CYCLES = 6
"""Import cycles that are spelled out."""

TILES = 250
"""Rectangles of the treemap; what is smaller shares one."""


def render(census: Census) -> str:
    """Return the page."""
    here = Path(__file__)
    title = f"Source census of {PurePath(census['root']).name or census['root']}"
    sections = [_header(census), *(_body(census) if totals(census).files else []), _skipped(census), _footer(census)]
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>\n{here.with_suffix('.css').read_text()}</style>\n</head>\n"
        f"<body>\n<main>\n{chr(10).join(sections)}\n</main>\n"
        f"<script>\n{here.with_suffix('.js').read_text()}</script>\n</body>\n</html>\n"
    )


def _body(census: Census) -> list[str]:
    return [
        _tiles(totals(census)),
        _findings(findings(census)),
        _sizes(census),
        _complexity(census),
        _imports(census["imports"]),
    ]


def as_json(census: Census) -> str:
    """Return the same for programs."""
    return json.dumps(census, indent=2, ensure_ascii=False) + "\n"


def _header(census: Census) -> str:
    sums = totals(census)
    written = datetime.fromisoformat(census["written_at"])
    name = PurePath(census["root"]).name or census["root"]
    return (
        f'<header><p class="eyebrow">Source census</p><h1>{escape(name)}</h1>'
        f'<p class="lead"><b>{counted(sums.lines, "line")}</b> of Python in {counted(sums.files, "file")}: '
        f"{counted(sums.packages, 'package')} and {counted(sums.modules, 'module')}, "
        f"with {counted(sums.functions, 'function')} and {counted(sums.classes, 'class', 'classes')}.</p>"
        f'<div class="meta"><span class="mono">{escape(census["root"])}</span>'
        f"<span>parsed with Python {escape(census['python'])}</span>"
        f"<span>{written:%d %B %Y, %H:%M} UTC</span>"
        f'<span>run <span class="mono">{escape(census["run_id"])}</span></span></div></header>'
    )


def _tiles(sums: Totals) -> str:
    shown = (
        (f"{sums.lines:,}", "lines"),
        (f"{sums.files:,}", "files"),
        (f"{sums.functions:,}", "functions"),
        (f"{sums.classes:,}", "classes"),
        (f"{sums.mean_complexity:.1f}", "mean complexity"),
        (f"{sums.documented:.0%}", "have a docstring"),
    )
    tiles = "".join(f'<div class="tile"><b>{value}</b><span>{name}</span></div>' for value, name in shown)
    return f'<div class="tiles">{tiles}</div>'


def _findings(found: Sequence[Finding]) -> str:
    cards = "".join(
        f'<div class="card finding{" warm" if finding.warm else ""}"><b>{escape(finding.headline)}</b>'
        f"<p>{escape(finding.detail)}</p></div>"
        for finding in found
    )
    return f'<div class="findings">{cards}</div>'


def _sizes(census: Census) -> str:
    packages, modules = census["packages"]["rows"], census["modules"]["rows"]
    tiles = _treemap_tiles([*packages, *modules])
    return _section(
        "Where the code is",
        "Each rectangle is a package or module; area means lines, colour the mean complexity of its functions.",
        f'<div class="card"><div class="wide">{charts.treemap(tiles, width=1110, height=430)}</div>'
        f'<div class="narrow">{charts.treemap(tiles, width=340, height=480)}</div>{_heat_legend()}</div>',
        '<div class="pair" style="margin-top:16px">'
        f"{_card('Largest packages', _package_table(packages))}"
        f"{_card('Largest modules', _package_table(modules))}</div>",
    )


def _complexity(census: Census) -> str:
    complexity = census["complexity"]
    counts = complexity["bands"]
    every = sum(counts) or 1
    bars = [
        charts.Bar(label=label, value=count, hint=f"complexity {label}: {count:,} functions, {count / every:.1%}")
        for label, count in zip(_band_labels(), counts, strict=True)
    ]
    return _section(
        "How tangled it is",
        "Complexity counts the ways through a function as McCabe does: 1, and one more for each if, loop, except, "
        "case, condition of a comprehension, and operand of and/or. Above 10 is hard to test; above 20 hard to change.",
        f'<div class="stack">{_card("Functions by complexity", _both_widths(bars))}'
        f"{_card('Most complex functions', _function_table(complexity['functions'][:ROWS]))}</div>",
    )


def _both_widths(bars: Sequence[charts.Bar]) -> str:
    return (
        f'<div class="wide">{charts.columns(bars, width=1110, height=240)}</div>'
        f'<div class="narrow">{charts.columns(bars, width=340, height=200)}</div>'
    )


def _imports(graph: ImportGraph) -> str:
    wheels = _wheel(graph, top=28, size=600, kind="wide") + _wheel(graph, top=18, size=400, kind="narrow")
    wheels += _wheel_legend(both_ways='class="arc mutual"' in wheels)
    return _section(
        "Who leans on whom",
        f"{counted(graph['edges'], 'import')} between packages. A dot is a package or module of this tree, the larger "
        "the more often imported; a line is an import made at load time, orange where it goes both ways. Point at a "
        "name to see its own.",
        f'<div class="pair wheel-pair"><div class="stack">{_card("Imports among the most imported here", wheels)}'
        f"{_card('Import cycles', _cycles(graph['cycles']))}</div>"
        f"{_card('Most imported', _hub_table(graph['hubs'][:HUBS]))}</div>",
    )


def _wheel(graph: ImportGraph, *, top: int, size: int, kind: str) -> str:
    spokes = [
        charts.Spoke(name=hub["name"], weight=hub["importers"], kind=hub["kind"]) for hub in graph["at_home"][:top]
    ]
    pairs = {(link["importer"], link["target"]) for link in graph["links"]}
    arcs = [
        charts.Arc(start=start, end=end, mutual=(end, start) in pairs)
        for start, end in sorted(pairs)
        if start < end or (end, start) not in pairs
    ]
    return f'<div class="{kind}">{charts.wheel(spokes, arcs, size=size)}</div>'


def _cycles(cycles: Sequence[Sequence[str]]) -> str:
    if not cycles:
        return '<p class="empty">No packages import each other while they load.</p>'
    shown = "".join(f'<p class="cycle"><b>{len(names)}</b> {escape(some(names, 40))}</p>' for names in cycles[:CYCLES])
    more = f'<p class="cycle">and {len(cycles) - CYCLES} more</p>' if len(cycles) > CYCLES else ""
    return f'<p class="empty">Groups that lead back to themselves when they load:</p>{shown}{more}'


def _skipped(census: Census) -> str:
    count = census["packages"]["skipped_count"] + census["modules"]["skipped_count"]
    rows = [*census["packages"]["skipped"], *census["modules"]["skipped"]]
    if not count:
        return _section("What could not be read", "Nothing: every file was read, decoded and parsed.")
    first = f"; these are the first {len(rows)}" if count > len(rows) else ""
    note = f"Not in the numbers above: {counted(count, 'file')}{first}."
    columns: Columns[SkippedRow] = (
        Column("File", lambda row: row["where"], mono=True),
        Column("Why", lambda row: row["reason"]),
        Column("Detail", lambda row: row["detail"], minor=True),
    )
    return _section("What could not be read", note, f'<div class="card">{table(columns, rows)}</div>')


def _footer(census: Census) -> str:
    left_out = census["left_out"]
    note = f"Left out by the limit of the input: {counted(left_out, 'smaller package')}. " if left_out else ""
    return (
        f'<footer>{note}The same numbers for programs: <a href="census.json">census.json</a>. Made by the workflow '
        "<code>source_census</code>: one step finds the packages, twelve parse them, four join what the twelve found "
        "(each waits only for the shards it needs), one writes this page.</footer>"
    )


def _package_table(rows: Sequence[PackageRow]) -> str:
    columns: Columns[PackageRow] = (
        Column("Name", lambda row: row["name"], name=True),
        Column("Lines", lambda row: row["lines"]),
        Column("Share", lambda row: row["lines"], bar=True),
        Column("Functions", lambda row: row["functions"], minor=True),
        Column("Mean", lambda row: row["complexity"] / (row["functions"] or 1), digits=1),
    )
    return table(columns, rows[:ROWS])


def _function_table(rows: Sequence[FunctionRow]) -> str:
    columns: Columns[FunctionRow] = (
        Column("Function", lambda row: row["name"], below=lambda row: row["where"], name=True),
        Column("Complexity", lambda row: row["complexity"]),
        Column("", lambda row: row["complexity"], bar=True, minor=True),
        Column("Lines", lambda row: row["lines"]),
    )
    return table(columns, rows)


def _hub_table(rows: Sequence[Hub]) -> str:
    columns: Columns[Hub] = (
        Column("Name", lambda row: row["name"], name=True),
        Column("Kind", lambda row: row["kind"], badge=True, minor=True),
        Column("Imported by", lambda row: row["importers"]),
        Column("", lambda row: row["importers"], bar=True),
    )
    return table(columns, rows)


def _treemap_tiles(rows: Sequence[PackageRow]) -> list[charts.Tile]:
    rows = sorted(rows, key=lambda row: -row["lines"])
    tiles = [_tile(row) for row in rows[:TILES]]
    others, lines = len(rows) - TILES, sum(row["lines"] for row in rows[TILES:])
    rest = charts.Tile(label=f"{others} others", size=lines, heat=None, hint=f"{others} others: {lines:,} lines")
    return [*tiles, rest] if others > 0 else tiles


def _tile(row: PackageRow) -> charts.Tile:
    mean = row["complexity"] / (row["functions"] or 1)
    size = f"{counted(row['lines'], 'line')}, {counted(row['functions'], 'function')}"
    hint = f"{row['name']}: {size}, mean complexity {mean:.1f}"
    return charts.Tile(label=row["name"], size=row["lines"], heat=mean, hint=hint)


def _band_labels() -> list[str]:
    lows = [1, *(limit + 1 for limit in BANDS[:-1])]
    ranges = [f"{low}" if low == high else f"{low}–{high}" for low, high in zip(lows, BANDS, strict=True)]  # noqa: RUF001  an en dash between numbers
    return [*ranges, f"over {BANDS[-1]}"]


def _heat_legend() -> str:
    labels = ["below 2", *(f"from {limit:g}" for limit in charts.HEAT)]
    entries = "".join(
        f'<span><i style="background:var(--heat-{level})"></i>{label}</span>' for level, label in enumerate(labels)
    )
    return f'<div class="legend"><span>Mean complexity</span>{entries}</div>'


def _wheel_legend(*, both_ways: bool) -> str:
    dots = (("var(--accent)", "package"), ("#6ea5dd", "module"))
    entries = "".join(f'<span><i class="dot" style="background:{colour}"></i>{label}</span>' for colour, label in dots)
    rule = "" if not both_ways else '<span><i class="rule" style="background:var(--warm)"></i>imports both ways</span>'
    return f'<div class="legend">{entries}{rule}</div>'


def _section(title: str, note: str, *parts: str) -> str:
    return f"<section><h2>{escape(title)}</h2><p>{escape(note)}</p>{''.join(parts)}</section>"


def _card(title: str, content: str) -> str:
    return f'<div class="card"><h3>{escape(title)}</h3>{content}</div>'

"""What a reader should know first."""

from dataclasses import dataclass

from examples.census.rows import Census
from examples.census.wording import shortened, some

WORRYING = 20
"""The complexity above which a function is hard to change."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Totals:
    """The census in a few numbers."""

    packages: int
    modules: int
    files: int
    lines: int
    functions: int
    classes: int
    mean_complexity: float
    documented: float
    """Share of functions with a docstring, 0 to 1."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One sentence worth a card; ``warm`` ones are worth a worry."""

    headline: str
    detail: str
    warm: bool = False


def totals(census: Census) -> Totals:
    """Add up all packages and modules."""
    packages, modules = census["packages"]["rows"], census["modules"]["rows"]
    rows = [*packages, *modules]
    functions = sum(row["functions"] for row in rows)
    return Totals(
        packages=len(packages),
        modules=len(modules),
        files=sum(row["files"] for row in rows),
        lines=sum(row["lines"] for row in rows),
        functions=functions,
        classes=sum(row["classes"] for row in rows),
        mean_complexity=sum(row["complexity"] for row in rows) / (functions or 1),
        documented=sum(row["documented"] for row in rows) / (functions or 1),
    )


def findings(census: Census) -> list[Finding]:
    """Return up to four findings; a tree without functions or imports has fewer."""
    found = (_largest(census), _most_complex(census), _hub(census), _cycle(census))
    return [finding for finding in found if finding]


def _largest(census: Census) -> Finding | None:
    rows = sorted([*census["packages"]["rows"], *census["modules"]["rows"]], key=lambda row: -row["lines"])
    lines = sum(row["lines"] for row in rows)
    if not lines:
        return None
    half, reached = 0, 0
    while reached * 2 < lines:
        reached += rows[half]["lines"]
        half += 1
    first = rows[0]
    return Finding(
        headline=f"{shortened(first['name'], 40)} is the largest",
        detail=f"{first['lines']:,} lines, {first['lines'] / lines:.0%} of all. "
        f"The largest {half} of {len(rows)} hold half of the code.",
    )


def _most_complex(census: Census) -> Finding | None:
    if not census["complexity"]["functions"]:
        return None
    worst = census["complexity"]["functions"][0]
    bands = census["complexity"]["bands"]
    simple = sum(bands[:4]) / sum(bands)
    return Finding(
        headline=f"{shortened(worst['name'], 40)} has {worst['complexity']} ways through",
        detail=f"{worst['where']} is the most complex function. {simple:.0%} of all functions stay at 5 or below.",
        warm=worst["complexity"] > WORRYING,
    )


def _hub(census: Census) -> Finding | None:
    if not census["imports"]["hubs"]:
        return None
    first, *others = census["imports"]["hubs"][:3]
    every = len(census["packages"]["rows"]) + len(census["modules"]["rows"])
    then = " and ".join(f"{hub['name']} ({hub['importers']})" for hub in others)
    return Finding(
        headline=f"{shortened(first['name'], 40)} is imported by {first['importers']} of {every}",
        detail="Packages and modules lean on it most" + (f", then on {then}." if then else "."),
    )


def _cycle(census: Census) -> Finding | None:
    groups = census["imports"]["cycles"]
    if not groups:
        return Finding(headline="No import cycles", detail="Packages load without leading back to themselves.")
    return Finding(
        headline=f"{len(groups[0])} packages import in a circle",
        detail=f"{some(groups[0], 6)} lead back to themselves while they load; circles in all: {len(groups)}.",
        warm=True,
    )

"""The results of the census' steps: JSON, so dictionaries with known keys."""

from typing import TypedDict


class PackageRow(TypedDict):
    """The totals of one package or module."""

    name: str
    files: int
    lines: int
    functions: int
    classes: int
    documented: int
    complexity: int
    """The sum over its functions."""
    worst: int
    """The highest complexity of one function; 0 without functions."""


class FunctionRow(TypedDict):
    """One function worth naming."""

    name: str
    where: str
    """File and line, relative to the root: ``asyncio/events.py:120``."""
    complexity: int
    lines: int


class ImportRow(TypedDict):
    """How many files of one package import a name."""

    importer: str
    target: str
    files: int
    """Those that do so when they are loaded."""
    deferred: int
    """Those that do so only inside functions."""


class SkippedRow(TypedDict):
    """One file without facts, and why."""

    where: str
    reason: str
    detail: str


class ShardFacts(TypedDict):
    """What one parse step reports."""

    packages: list[PackageRow]
    functions: list[FunctionRow]
    bands: list[int]
    """How many functions are in each band of complexity."""
    imports: list[ImportRow]
    skipped: list[SkippedRow]
    skipped_count: int


class Sizes(TypedDict):
    """The packages of some shards, those with most lines first."""

    rows: list[PackageRow]
    skipped: list[SkippedRow]
    skipped_count: int


class Complexity(TypedDict):
    """The functions of all shards, ranked."""

    functions: list[FunctionRow]
    bands: list[int]


class Hub(TypedDict):
    """A name that many packages import."""

    name: str
    kind: str
    """``package``, ``module``, or ``outside``: built in, or installed elsewhere."""
    importers: int
    files: int


class Link(TypedDict):
    """One package imports another when it is loaded."""

    importer: str
    target: str
    files: int


class ImportGraph(TypedDict):
    """Who imports whom."""

    hubs: list[Hub]
    """The most imported names, wherever they live."""
    at_home: list[Hub]
    """The most imported packages and modules of this tree."""
    links: list[Link]
    """Among those at home."""
    edges: int
    cycles: list[list[str]]
    """Groups that import each other while they are loaded, directly or in a circle; the largest first."""


class Census(TypedDict):
    """Everything the report says."""

    root: str
    python: str
    """The version whose grammar was used."""
    run_id: str
    written_at: str
    """ISO 8601, UTC."""
    left_out: int
    """Packages beyond the limit of the input, the smallest."""
    packages: Sizes
    modules: Sizes
    complexity: Complexity
    imports: ImportGraph

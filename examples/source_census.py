"""Count what a tree of Python files is made of, and write a report about it.

::

    discover ─┬─ parse_00 … parse_06 (packages) ─┬─ rank_packages ──────┐
              │                                  ├─ rank_complexity ────┤
              ├─ parse_07 … parse_11 (modules) ──┼─ rank_modules ───────┼─ write_report
              └──────────────────────────────────┴─ import_graph ───────┘

The packages are dealt into twelve shards that are parsed in parallel. Then each join waits for what it needs and for
nothing else: ``rank_packages`` for the seven shards of packages, ``rank_modules`` for the five of single files,
``rank_complexity`` for all twelve, ``import_graph`` for all twelve and for ``discover`` itself, which knows the names
that are at home here.

That makes the graph *not series-parallel*. ``parse_00`` feeds ``rank_packages`` and ``rank_complexity``, but
``parse_07`` feeds only the second of the two: these three edges form the letter N, and no nesting of chains and
groups has it. Written as nested chords, ``rank_packages`` would have to wait for the slowest of all twelve shards;
here it runs as soon as its own seven are done.
"""

import platform
import sysconfig
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, DirectoryPath, Field, field_validator

from examples.census.files import Package, deal, find_packages, write_whole
from examples.census.joins import import_graph as join_imports
from examples.census.joins import rank_complexity as join_complexity
from examples.census.joins import rank_sizes as join_sizes
from examples.census.report import as_json, render
from examples.census.rows import Census, Complexity, ImportGraph, ShardFacts, Sizes
from examples.census.shard import parse_shard
from workflow_engine import Retry, Step, StepContext, Workflow

PACKAGE_SHARDS = 7
MODULE_SHARDS = 5  # in the standard library single files are two fifths of the source

PATIENT = Retry(max_attempts=3, base_delay=1.0, factor=2.0, retry_on=OSError)
"""A file system may be away for a moment; nothing else that can fail here would go better next time."""


def _standard_library() -> Path:
    return Path(sysconfig.get_path("stdlib"))


def _reports_here() -> Path:
    return Path("census-report")


class CensusInput(BaseModel):
    """What to count, and where to write about it. Paths become absolute: workers run elsewhere."""

    model_config = ConfigDict(extra="forbid")

    root: Annotated[DirectoryPath, AfterValidator(Path.resolve)] = Field(
        default_factory=_standard_library, validate_default=True, description="The folder that holds the packages."
    )
    report_dir: Path = Field(
        default_factory=_reports_here, validate_default=True, description="Made if absent; files in it are replaced."
    )
    exclude: tuple[str, ...] = ("test", "tests", "idlelib", "site-packages", "dist-packages", "__pycache__")
    """Names of folders that are not entered."""
    max_packages: int = Field(default=500, ge=1, le=2_000)
    """The largest are counted; it bounds the size of the steps' results."""
    max_file_bytes: int = Field(default=2_000_000, ge=1, le=20_000_000)
    top: int = Field(default=40, ge=1, le=200)
    """Functions and imported names that the report may mention."""

    @field_validator("report_dir")
    @classmethod
    def _can_be_a_folder(cls, path: Path) -> Path:
        path = path.expanduser().resolve()
        if path.exists() and not path.is_dir():
            raise ValueError("it is a file, not a folder")
        return path


census = Workflow(
    "source_census",
    version="1",
    input=CensusInput,
    description="Count what a tree of Python files is made of, and write a report about it",
)


@census.step(retry=PATIENT, timeout=120)
def discover(ctx: StepContext) -> dict[str, Any]:
    """Find the packages and deal them into shards of equal weight."""
    asked: CensusInput = ctx.input
    found = sorted(find_packages(asked.root, asked.exclude), key=lambda package: (-package.size, package.path))
    counted = found[: asked.max_packages]
    modules = [package for package in counted if package.is_module]
    packages = [package for package in counted if not package.is_module]
    return {
        "shards": _paths(deal(packages, PACKAGE_SHARDS)) + _paths(deal(modules, MODULE_SHARDS)),
        "kinds": {package.name: "module" if package.is_module else "package" for package in reversed(counted)},
        "left_out": len(found) - len(counted),
    }


def _paths(hands: list[list[Package]]) -> list[list[str]]:
    return [[package.path for package in hand] for hand in hands]


def _parse(shard: int) -> Callable[[StepContext], ShardFacts]:
    def parse(ctx: StepContext) -> ShardFacts:
        """Parse one shard of packages."""
        asked: CensusInput = ctx.input
        paths = ctx.results["discover"]["shards"][shard]
        return parse_shard(
            asked.root, paths, exclude=asked.exclude, max_bytes=asked.max_file_bytes, between=ctx.heartbeat
        )

    return parse


# The fan-out is written when the workflow is defined, so the plan, and every picture of it, has each shard.
parse_steps: list[Step] = [
    census.step(name=f"parse_{shard:02d}", after=[discover], retry=PATIENT, timeout=300)(_parse(shard))
    for shard in range(PACKAGE_SHARDS + MODULE_SHARDS)
]
parse_packages, parse_modules = parse_steps[:PACKAGE_SHARDS], parse_steps[PACKAGE_SHARDS:]


@census.step(after=parse_packages)
def rank_packages(ctx: StepContext) -> Sizes:
    """Join the shards of packages: the largest first."""
    return join_sizes(_shards(ctx, parse_packages))


@census.step(after=parse_modules)
def rank_modules(ctx: StepContext) -> Sizes:
    """Join the shards of single files: the largest first."""
    return join_sizes(_shards(ctx, parse_modules))


@census.step(after=parse_steps)
def rank_complexity(ctx: StepContext) -> Complexity:
    """Join all shards: the most complex functions."""
    return join_complexity(_shards(ctx, parse_steps), ctx.input.top)


@census.step(after=[discover, *parse_steps])
def import_graph(ctx: StepContext) -> ImportGraph:
    """Join all shards: who imports whom, and in which circles."""
    return join_imports(_shards(ctx, parse_steps), ctx.results["discover"]["kinds"], ctx.input.top)


def _shards(ctx: StepContext, steps: list[Step]) -> list[ShardFacts]:
    return [ctx.results[step.name] for step in steps]


@census.step(after=[discover, rank_packages, rank_modules, rank_complexity, import_graph], retry=PATIENT)
def write_report(ctx: StepContext) -> dict[str, Any]:
    """Write the HTML page and the JSON file."""
    results = ctx.results
    everything: Census = {
        "root": str(ctx.input.root),
        "python": platform.python_version(),
        "run_id": ctx.run_id,
        "written_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "left_out": results["discover"]["left_out"],
        "packages": results["rank_packages"],
        "modules": results["rank_modules"],
        "complexity": results["rank_complexity"],
        "imports": results["import_graph"],
    }
    page, numbers = ctx.input.report_dir / "census.html", ctx.input.report_dir / "census.json"
    write_whole(page, render(everything))
    write_whole(numbers, as_json(everything))
    rows = [*everything["packages"]["rows"], *everything["modules"]["rows"]]
    return {
        "html": str(page),
        "json": str(numbers),
        "files": sum(row["files"] for row in rows),
        "lines": sum(row["lines"] for row in rows),
        "functions": sum(row["functions"] for row in rows),
    }

"""Parse one shard: many files in, a few rows out."""

from collections import Counter
from collections.abc import Callable, Collection, Iterable
from pathlib import Path
from typing import NamedTuple

from examples.census.facts import FileFacts, NotParsed, read_facts
from examples.census.files import printable, source_files
from examples.census.rows import FunctionRow, ImportRow, PackageRow, ShardFacts, SkippedRow

KEPT_PER_SHARD = 40
"""Functions and skipped files that a shard reports by name; all are counted."""

BANDS = (1, 2, 3, 5, 10, 20, 50)
"""Complexity is counted up to each of these, and beyond the last."""


class _Parsed(NamedTuple):
    where: str
    facts: FileFacts


def parse_shard(
    root: Path, paths: Iterable[str], *, exclude: Collection[str], max_bytes: int, between: Callable[[], None]
) -> ShardFacts:
    """Parse the packages at ``paths`` below ``root``; ``between`` is called before each, to show a sign of life."""
    parsed: dict[str, list[_Parsed]] = {}
    skipped: list[SkippedRow] = []
    for path in paths:
        between()
        files = parsed.setdefault(path.removesuffix(".py"), [])
        for file in source_files(root / path, exclude):
            where = printable(file, root)
            try:
                files.append(_Parsed(where, read_facts(file, max_bytes=max_bytes)))
            except NotParsed as error:
                skipped.append({"where": where, "reason": error.reason, "detail": error.detail})
    every_file = [file for files in parsed.values() for file in files]
    return {
        "packages": [_package_row(name, files) for name, files in parsed.items()],
        "functions": most_complex(_function_rows(every_file), KEPT_PER_SHARD),
        "bands": _bands(function.complexity for file in every_file for function in file.facts.functions),
        "imports": [row for name, files in parsed.items() for row in _import_rows(name, files)],
        "skipped": skipped[:KEPT_PER_SHARD],
        "skipped_count": len(skipped),
    }


def most_complex(rows: Iterable[FunctionRow], top: int) -> list[FunctionRow]:
    """Return the ``top`` functions of highest complexity; equals by place."""
    return sorted(rows, key=lambda row: (-row["complexity"], row["where"], row["name"]))[:top]


def _package_row(name: str, files: list[_Parsed]) -> PackageRow:
    functions = [function for file in files for function in file.facts.functions]
    return {
        "name": name,
        "files": len(files),
        "lines": sum(file.facts.lines for file in files),
        "functions": len(functions),
        "classes": sum(file.facts.classes for file in files),
        "documented": sum(function.documented for function in functions),
        "complexity": sum(function.complexity for function in functions),
        "worst": max((function.complexity for function in functions), default=0),
    }


def _function_rows(files: Iterable[_Parsed]) -> list[FunctionRow]:
    return [
        {
            "name": function.name,
            "where": f"{file.where}:{function.line}",
            "complexity": function.complexity,
            "lines": function.lines,
        }
        for file in files
        for function in file.facts.functions
    ]


def _bands(complexities: Iterable[int]) -> list[int]:
    counts = [0] * (len(BANDS) + 1)
    for complexity in complexities:
        counts[sum(limit < complexity for limit in BANDS)] += 1
    return counts


def _import_rows(name: str, files: Iterable[_Parsed]) -> list[ImportRow]:
    loading: Counter[str] = Counter()
    deferred: Counter[str] = Counter()
    for file in files:
        loading.update(file.facts.imports)
        deferred.update(file.facts.deferred_imports)
    return [
        {"importer": name, "target": target, "files": loading[target], "deferred": deferred[target]}
        for target in sorted(loading.keys() | deferred.keys())
    ]

"""The guard: what must not become worse, and by how much it may vary."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from statistics import median
from typing import Final

from benchmarks.counts import Counts
from benchmarks.report import ratios
from benchmarks.session import Round

RATIOS: Final[Mapping[str, Mapping[str, float]]] = {
    "chain": {"engine": 2.2},
    "diamonds": {"engine": 1.4, "engine, submit_many": 1.6},
    "wide": {"engine": 1.6},
}
"""Celery's time over ours, at least: by workload and contestant. Well below what a quiet machine shows."""

COUNTS: Final[Mapping[str, Mapping[str, float]]] = {
    "chain of 100": {
        "statements": 1.15, "fsyncs": 1.15, "wal_bytes": 2_600, "messages": 0.1, "broker_commands": 0.6,
    },
    "25 diamonds": {
        "statements": 1.65, "fsyncs": 1.35, "wal_bytes": 3_600, "messages": 0.35, "broker_commands": 2.1,
    },
    "1 -> 100 -> 1": {
        "statements": 1.4, "fsyncs": 1.3, "wal_bytes": 3_000, "messages": 0.25, "broker_commands": 1.5,
    },
}  # fmt: skip
"""For each step at most so many: by shape."""


def broken_counts(found: Iterable[Counts]) -> Iterator[str]:
    """Yield the bounds that counts break."""
    for each in found:
        for name, bound in COUNTS[each.shape].items():
            value = getattr(each, name)
            if value > bound:
                yield f"{each.shape}: {value:,.2f} {name} a step, at most {bound:,g}"


def is_within_bounds(counts: Counts) -> bool:
    """Tell whether counts break no bound."""
    return not any(broken_counts([counts]))


def broken_ratios(workload: str, rounds: Sequence[Round], bounds: Mapping[str, float] | None = None) -> Iterator[str]:
    """Yield the bounds that a workload's median ratios break; ``bounds``, by workload, are in place of ours."""
    given = (bounds or {}).get(workload)
    for contestant, bound in RATIOS[workload].items():
        least, found = bound if given is None else given, median(ratios(rounds, contestant))
        if found < least:
            yield f"{workload}, {contestant}: {found:.2f} times as fast as Celery's canvas, at least {least:g}"

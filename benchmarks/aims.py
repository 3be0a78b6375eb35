"""What figures about scale are to be: the aims, and which of them a measurement misses."""

from collections.abc import Iterator, Mapping, Sequence
from statistics import median
from typing import Any, Final

LATER: Final = 5.0
"""By how many percent a layered graph may take longer than its list schedule."""

JOINS: Final = (1_000, 10_000)
TIMES: Final = 10.5
"""How many times as long the larger of these joins may take."""

FULL: Final = 1.10
"""How many times as long a workload may take on full tables."""

MEGABYTES: Final = 5.0
"""By how much a worker's process may grow."""

_WORKER: Final = ("worker", "pool")
Figures = Sequence[Mapping[str, Any]]


def missed(name: str, figures: Figures) -> list[str]:
    """Return in words which aims the figures of a result miss; some results have no aim."""
    if name.startswith("full_"):
        return list(_full(figures))
    checks = {"layered": _layered, "joins": _joins, "memory": _memory}
    return list(checks[name](figures)) if name in checks else []


def ratios(figures: Figures) -> dict[str, float]:
    """Return for each workload the median time on full tables over the median time on empty ones."""
    rounds = [each for each in figures if "workload" in each]
    return {
        workload: _middle(rounds, workload, "full") / _middle(rounds, workload, "empty")
        for workload in dict.fromkeys(each["workload"] for each in rounds)
    }


def growth(figures: Figures) -> dict[str, float]:
    """Return by how many megabytes of its own each process grew, from the first look to the last."""
    first, last = figures[0]["weights"], figures[-1]["weights"]
    return {name: last[name]["own"] - first[name]["own"] for name in first}


def _layered(figures: Figures) -> Iterator[str]:
    later = 100 * (median(each["taken"] / each["listed"] for each in figures) - 1)
    if later > LATER:
        yield f"layered graphs take {later:.1f} % longer than their list schedules, more than {LATER:g} %"


def _joins(figures: Figures) -> Iterator[str]:
    smaller, larger = ([each["taken"] for each in figures if each["size"] == size] for size in JOINS)
    if smaller and larger and (times := median(larger) / median(smaller)) > TIMES:
        yield f"a join of {JOINS[1]:,} takes {times:.1f} times as long as one of {JOINS[0]:,}, more than {TIMES:g}"


def _full(figures: Figures) -> Iterator[str]:
    for workload, times in ratios(figures).items():
        if times > FULL:
            yield f"{workload}: {times:.2f} times as long on full tables, more than {FULL:g}"


def _memory(figures: Figures) -> Iterator[str]:
    for name, grown in growth(figures).items():
        if name.startswith(_WORKER) and grown >= MEGABYTES:
            yield f"{name} grew by {grown:.1f} MB, not by less than {MEGABYTES:g}"


def _middle(rounds: Figures, workload: str, side: str) -> float:
    return median(float(each[side]) for each in rounds if each["workload"] == workload)

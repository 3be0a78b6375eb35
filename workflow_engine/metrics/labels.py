"""LabelLimit: labels take a bounded number of values, whatever workflows there are."""

from collections.abc import Mapping
from typing import Final

OTHER: Final = "other"
"""What names are called that came after the limit."""

_OPEN: Final = frozenset({"namespace", "workflow", "step", "subscriber", "queue"})
"""Labels whose values users choose; all others are closed sets of ours."""

LABEL_SETS: Final = 1_000
"""Of each combination of open labels; every set is a time series, or in a histogram some twenty."""

CLOSED_SETS: Final = 20
"""More than any closed label has values; events have no open ones."""


class LabelLimit:
    """Knows the first so many sets of names; later ones are all called ``other``, in every instrument alike."""

    def __init__(self, limit: int = LABEL_SETS) -> None:
        """Let each combination of labels have ``limit`` sets of values."""
        self._limit = limit
        self._known: dict[tuple[str, ...], set[tuple[str, ...]]] = {}

    def bounded(self, labels: Mapping[str, str]) -> Mapping[str, str]:
        """Return the labels as they may be used."""
        names = tuple(name for name in labels if name in _OPEN)
        if not names:
            return labels
        values = tuple(labels[name] for name in names)
        known = self._known.setdefault(names, set())
        if values in known:
            return labels
        if len(known) < self._limit:
            known.add(values)
            return labels
        return {**labels, **dict.fromkeys(names, OTHER)}

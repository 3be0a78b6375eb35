"""What is asked about runs, apart from its values: questions of one shape are one statement."""

import json
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from workflow_engine.model.pages import Place
from workflow_engine.model.run import RunState
from workflow_engine.model.run_filter import RunFilter, RunOrder

_OPEN: Final = "open"
_IS_OPEN: Final = frozenset({RunState.PENDING, RunState.RUNNING})
_LABELS_ASKED: Final = 5
"""Of a filter's metadata: values by which runs are looked for. The others are only compared."""
_BOUNDS_OF_THE_WALK: Final = frozenset({"created_after", "created_before"})
_BEGINNINGS: Final = {
    RunOrder.NEWEST: frozenset({"created_before", "finished_before"}),
    RunOrder.OLDEST: frozenset({"created_after"}),
}
"""By the order of a list, what is said about where it begins."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """All of a question but its values."""

    said: frozenset[str]
    """The fields of the filter that say something."""
    order: RunOrder
    is_later: bool
    """Whether it begins behind a place of the list that is further on than what is said about its beginning."""
    tags: int
    parts: int
    """Values in the metadata by which runs are looked for."""
    phases: tuple[str, ...]
    """Those in which runs of the wanted states are."""
    is_phases: bool
    """Whether all runs in these phases are in wanted states."""
    may_be_own: bool
    """Whether the correlation id may be a run's own id."""

    @property
    def beside_the_walk(self) -> frozenset[str]:
        """What is said beside what bounds every walk."""
        return self.said - _BOUNDS_OF_THE_WALK

    @property
    def beginnings(self) -> frozenset[str]:
        """What is said about where every walk begins."""
        return self.said & _BEGINNINGS[self.order]


@dataclass(frozen=True, slots=True, kw_only=True)
class RunQuestion:
    """Which runs of a namespace are wanted, and from where on."""

    namespace: str
    wanted: RunFilter
    order: RunOrder = RunOrder.NEWEST
    after: Place | None = None

    @property
    def shape(self) -> Shape:
        """All of it but the values."""
        wanted, states = self.wanted, set(self.wanted.states)
        return Shape(
            said=frozenset(wanted.said),
            order=self.order,
            is_later=self._is_later,
            tags=len(wanted.tags),
            parts=len(self._parts),
            phases=tuple(sorted({_OPEN if state in _IS_OPEN else state.value for state in states})),
            is_phases=not states & _IS_OPEN or states >= _IS_OPEN,
            may_be_own=_as_id(wanted.correlation_id) is not None,
        )

    @property
    def values(self) -> dict[str, Any]:
        """The values, by the names that statements give them."""
        wanted = self.wanted
        values: dict[str, Any] = {name: getattr(wanted, name) for name in wanted.said}
        values |= {"namespace": self.namespace, "states": [state.value for state in wanted.states]}
        values |= {"tags": list(wanted.tags), "metadata": json.dumps(wanted.metadata)}
        values |= {f"tag_{number}": tag for number, tag in enumerate(wanted.tags)}
        values |= {f"part_{number}": part for number, part in enumerate(self._parts)}
        values["own_id"] = _as_id(wanted.correlation_id)
        if self.after is not None:
            values |= {"after_moment": self.after.moment, "after_id": uuid.UUID(self.after.run_id)}
        return values

    @property
    def _is_later(self) -> bool:
        if self.after is None:
            return False
        moments = [getattr(self.wanted, name) for name in self.wanted.said & _BEGINNINGS[self.order]]
        if self.order is RunOrder.NEWEST:
            return all(self.after.moment < moment for moment in moments)
        return all(self.after.moment >= moment for moment in moments)

    @property
    def _parts(self) -> list[str]:
        return [json.dumps([path, leaf]) for path, leaf in _parts((), self.wanted.metadata)][:_LABELS_ASKED]


def _parts(path: tuple[str | None, ...], value: Any) -> Iterator[tuple[tuple[str | None, ...], Any]]:
    """Yield the path and value of each part of metadata that is neither object nor list, as ``wfe_metadata_parts``."""
    if isinstance(value, Mapping):
        for key, each in value.items():
            yield from _parts((*path, key), each)
    elif isinstance(value, list | tuple):
        for each in value:
            yield from _parts((*path, None), each)
    else:
        yield path, value


def _as_id(text: str | None) -> uuid.UUID | None:
    try:
        return None if text is None else uuid.UUID(text)
    except ValueError:
        return None

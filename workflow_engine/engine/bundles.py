"""Short steps that share a message: what a message costs is then paid once for several."""

from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import Final

from workflow_engine.engine.dispatcher import Dispatch

MOST: Final = 16
"""Steps that share a message: at half a millisecond each, as long as a message's own way takes a few times over."""


def bundled(steps: Sequence[Dispatch], short: Collection[int]) -> tuple[Dispatch, ...]:
    """Return ``steps``, of one run, with those in ``short`` that go to one queue at one priority put together."""
    if not short:
        return tuple(steps)
    single = [step for step in steps if step.position not in short]
    places: dict[tuple[str | None, int], list[Dispatch]] = {}
    for step in steps:
        if step.position in short:
            places.setdefault((step.queue, step.priority), []).append(step)
    for alike in places.values():
        for start in range(0, len(alike), MOST):
            first, *others = alike[start : start + MOST]
            single.append(replace(first, others=tuple(other.position for other in others)))
    return tuple(single)

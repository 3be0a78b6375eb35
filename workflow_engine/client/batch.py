"""Batches: runs of one or several workflows that are submitted together, all of them or none."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from workflow_engine.clock import Clock
from workflow_engine.definitions.workflow import Workflow
from workflow_engine.errors import InvalidInput

BATCH_LIMIT: Final = 1_000
"""Runs that one batch may hold."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunToSubmit:
    """One run of a batch."""

    workflow: Workflow | str
    input: Any = None
    version: str | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    """As for ``WorkflowClient.submit``, by name; ``idempotency_key`` too."""


class OneMoment:
    """A clock that is read once: what is submitted together is submitted at one moment."""

    def __init__(self, clock: Clock) -> None:
        """Read ``clock`` when first asked."""
        self._clock = clock
        self._read: datetime | None = None

    def now(self) -> datetime:
        """Return when it was first asked."""
        if self._read is None:
            self._read = self._clock.now()
        return self._read


def numbered(runs: Iterable[RunToSubmit]) -> Iterator[tuple[int, RunToSubmit]]:
    """Yield runs with their places, as long as there are not too many.

    Raises:
        InvalidInput: there are.
    """
    for index, run in enumerate(runs):
        if index >= BATCH_LIMIT:
            raise InvalidInput("runs", f"a batch has at most {BATCH_LIMIT} runs")
        yield index, run

"""A run as its events tell it: cheap to follow, because only what is new is read."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Self

from workflow_engine.client.handle import RunHandle
from workflow_engine.model.records import EventRecord, RunRecord, StepRecord
from workflow_engine.model.step import FINAL_STEP_STATES, STEP_STATE_AFTER, StepState


@dataclass(frozen=True, slots=True, kw_only=True)
class StepLine:
    """What a person wants to know of a step."""

    name: str
    state: StepState = StepState.WAITING
    attempt: int = 0
    started_at: datetime | None = None
    finished_at: datetime | None = None
    error: Mapping[str, Any] | None = None

    @classmethod
    def of(cls, step: StepRecord) -> Self:
        """Return a step's row as a line."""
        return cls(
            name=step.name,
            state=step.state,
            attempt=step.attempt,
            started_at=step.started_at,
            finished_at=step.finished_at,
            error=step.error,
        )

    def after(self, event: EventRecord) -> Self:
        """Return the line as it is after an event of its step."""
        state = STEP_STATE_AFTER.get(event.name)
        if state is None:
            return self
        starts = event.name == "step.started"
        return replace(
            self,
            state=state,
            attempt=event.attempt or self.attempt,
            started_at=event.occurred_at if starts else self.started_at,
            finished_at=event.occurred_at if state in FINAL_STEP_STATES else None,
            error=event.data if event.data.get("error_class") else None if starts else self.error,
        )


class Track:
    """One run, kept up to date by ``looks``."""

    def __init__(self, run: RunHandle) -> None:
        """Start from nothing; the first look tells the past."""
        self.run = run
        self.tail = run.tail()
        self._lines = {step.name: StepLine(name=step.name) for step in run.steps()}

    @property
    def record(self) -> RunRecord:
        """The run's row at the last look."""
        return self.tail.record

    @property
    def steps(self) -> Sequence[StepLine]:
        """The steps in topological order."""
        return list(self._lines.values())

    @property
    def done(self) -> int:
        """How many steps have ended."""
        return sum(line.state in FINAL_STEP_STATES for line in self._lines.values())

    def look(self) -> list[EventRecord]:
        """Read what is new; return the events."""
        return self._taken(self.tail.look())

    def looks(self, timeout: float | None = None) -> Iterator[list[EventRecord]]:
        """Look again and again until the run has ended; yield what was new each time.

        Raises:
            RunTimeout: it had not ended after ``timeout`` seconds; it goes on.
        """
        return map(self._taken, self.tail.looks(timeout))

    def _taken(self, news: list[EventRecord]) -> list[EventRecord]:
        for event in news:
            if event.step is not None:
                self._lines[event.step] = self._lines[event.step].after(event)
        return news

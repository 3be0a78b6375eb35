"""What a step may ask for while it runs."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any


def _no_heartbeat() -> None:
    """Outside a worker nobody waits for a sign of life."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StepContext:
    """One attempt of one step, as its handler sees it."""

    run_id: str
    workflow: str
    version: str
    namespace: str
    step: str
    attempt: int
    """1 for the first attempt."""
    input: Any
    """The run's input: an instance of the workflow's input model, or the JSON value as submitted."""
    results: Mapping[str, Any] = field(default_factory=dict)
    """The results of this step's direct parents, by step name."""
    correlation_id: str
    """The submitter's id for everything that belongs together; the run's id unless it gave one."""
    _heartbeat: Callable[[], None] = _no_heartbeat

    @property
    def idempotency_key(self) -> str:
        """The same for every attempt of this step in this run: hand it to services that deduplicate."""
        return f"{self.run_id}:{self.step}"

    def heartbeat(self) -> None:
        """Tell the engine that this attempt is alive; call it now and then in steps that run for long.

        With the step's ``heartbeat_timeout``, more often than that.

        Raises:
            StepCancelled: the run was cancelled, its timeout has passed, or the attempt was given away.
        """
        self._heartbeat()

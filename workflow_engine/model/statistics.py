"""RunStatistics: how many runs there were, how they ended and how long they took."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from workflow_engine.model.run import RunState

MOST_LOOKED_AT: Final = 50_000
"""Runs that statistics look at: the newest."""
MOST_LOOKED_UP: Final = 10_000
"""The same where each has to be looked up: by tag, metadata, agent, initiator, correlation id or schedule."""
LONGEST_RANGE: Final = timedelta(days=31)


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkflowStatistics:
    """The runs of one workflow."""

    workflow: str
    runs: int
    states: Mapping[RunState, int]
    p50_seconds: float | None
    """Half of those that started and ended took this long, or less; None if there are none."""
    p95_seconds: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Hour:
    """What happened in an hour."""

    begin: datetime
    submitted: int
    finished: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RunStatistics:
    """The runs that were submitted within a time."""

    namespace: str
    since: datetime
    until: datetime
    complete: bool
    """Whether all runs that may fit were looked at; if not, these are about the newest of them."""
    runs: int
    states: Mapping[RunState, int]
    p50_seconds: float | None
    """From the start of a run to its end."""
    p95_seconds: float | None
    workflows: Sequence[WorkflowStatistics]
    """Those with the most runs first."""
    hours: Sequence[Hour]
    """Hours in which nothing was submitted nor finished are left out."""

"""Many runs at a glance: statistics, and those that stand still."""

from datetime import datetime

from pydantic import BaseModel, Field

from workflow_engine.model.explanation import Reason
from workflow_engine.model.run import RunState
from workflow_engine.model.standstills import StaleRun
from workflow_engine.model.statistics import RunStatistics


class OfWorkflow(BaseModel):
    """The runs of one workflow."""

    workflow: str
    runs: int
    states: dict[RunState, int]
    p50_seconds: float | None
    p95_seconds: float | None


class HourShown(BaseModel):
    """What happened in an hour."""

    begin: datetime
    submitted: int
    finished: int


class Statistics(BaseModel):
    """The runs that were submitted within a time."""

    namespace: str
    since: datetime
    until: datetime
    complete: bool = Field(description="False: these are about the newest runs of those that may fit.")
    runs: int
    states: dict[RunState, int]
    p50_seconds: float | None = Field(description="From the start of a run to its end.")
    p95_seconds: float | None
    workflows: list[OfWorkflow] = Field(description="Those with the most runs first.")
    hours: list[HourShown] = Field(description="Without those in which nothing was submitted nor finished.")


class Stale(BaseModel):
    """A run that stands still, and why."""

    run_id: str
    workflow: str
    version: str
    state: RunState
    created_at: datetime
    since: datetime = Field(description="When something of it moved for the last time.")
    stands_for: float = Field(description="Seconds.")
    limit: float = Field(description="Seconds that it may stand still.")
    is_stale: bool = Field(description="False: it is only warned of, at 80 % of its limit.")
    reason: Reason
    step: str | None
    sentence: str


def statistics_of(found: RunStatistics) -> Statistics:
    """Return statistics as they are shown."""
    values = {name: getattr(found, name) for name in Statistics.model_fields}
    values["states"] = dict(found.states)
    values["workflows"] = [
        OfWorkflow(**{name: getattr(each, name) for name in OfWorkflow.model_fields}) for each in found.workflows
    ]
    values["hours"] = [
        HourShown(begin=each.begin, submitted=each.submitted, finished=each.finished) for each in found.hours
    ]
    return Statistics(**values)


def stale_of(found: StaleRun) -> Stale:
    """Return a run that stands still as it is shown."""
    values = {name: getattr(found, name) for name in Stale.model_fields}
    lengths = {"stands_for": found.stands_for.total_seconds(), "limit": found.limit.total_seconds()}
    return Stale(**(values | lengths))

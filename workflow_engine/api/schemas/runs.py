"""Runs: what is said when one is submitted, and how one is shown."""

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, Final

from pydantic import BaseModel, ConfigDict, Field
from pydantic.config import JsonDict

from workflow_engine.api.schemas.requests import Moment, RequestBody, Seconds, as_seconds
from workflow_engine.definitions.policies import Priority
from workflow_engine.model.records import RunRecord
from workflow_engine.model.records import RunSummary as RunSummaryRecord
from workflow_engine.model.run import RunState
from workflow_engine.model.run_options import Text
from workflow_engine.model.trace_ids import parse_traceparent

_NOT_OPTIONS: Final = frozenset({"input", "version", "workflow"})
_EXAMPLE: Final[JsonDict] = {"input": {"order_id": 17}, "title": "Order 17", "tags": ["orders"], "priority": "high"}


class RunRequest(RequestBody):
    """A run to be submitted."""

    model_config = ConfigDict(json_schema_extra={"examples": [_EXAMPLE]})

    input: Any = Field(default=None, description="What the steps get as `ctx.input`; the workflow's model checks it.")
    version: Annotated[Text, Field(min_length=1, max_length=100)] | None = Field(
        default=None, description="Of the workflow; the newest unless given."
    )
    title: Annotated[Text, Field(min_length=1, max_length=200)] | None = None
    description: Annotated[Text, Field(max_length=2_000)] | None = None
    tags: list[Annotated[Text, Field(min_length=1, max_length=100)]] = Field(default=[], max_length=50)
    metadata: dict[str, Any] = Field(default={}, description="To find the run by; at most 64 KiB as JSON.")
    agent: Annotated[Text, Field(min_length=1, max_length=100)] | None = Field(
        default=None, description="Whom the run is for."
    )
    initiator: Annotated[Text, Field(min_length=1, max_length=200)] | None = Field(
        default=None, description="Who submits; only an admin may name somebody else."
    )
    correlation_id: Annotated[Text, Field(min_length=1, max_length=200)] | None = Field(
        default=None, description="Travels through logs and events; over that of the header."
    )
    priority: Priority | None = Field(default=None, description="Of every step; else each has its own.")
    due_at: Moment | None = None
    remind_before: list[Seconds] = Field(
        default=[], max_length=20, description="Seconds before `due_at` at which to remind."
    )
    timeout: Seconds | None = Field(default=None, description="Seconds after which the run fails.")
    scheduled_at: Moment | None = Field(default=None, description="It does not start before.")
    expires_at: Moment | None = Field(default=None, description="It is given up if it has not started by then.")
    expires_in: Seconds | None = Field(default=None, description="The same in seconds from now.")

    @property
    def options(self) -> dict[str, Any]:
        """Everything but workflow, version and input, as ``WorkflowClient.submit`` takes it."""
        return self.said(without=_NOT_OPTIONS)


class RunHeaders(BaseModel):
    """What the headers of a submit say."""

    idempotency_key: str | None = Field(default=None, description="The same key always leads to the same run.")
    traceparent: str | None = Field(default=None, description="W3C trace context, which the run continues.")
    x_correlation_id: str | None = Field(default=None, description="Travels through logs and events.")

    @property
    def options(self) -> dict[str, Any]:
        """As ``WorkflowClient.submit`` takes it. W3C: whoever gets a malformed traceparent begins a new trace."""
        known = parse_traceparent(self.traceparent) is not None
        given = {
            "idempotency_key": self.idempotency_key,
            "correlation_id": self.x_correlation_id,
            "traceparent": self.traceparent if known else None,
        }
        return {name: value for name, value in given.items() if value is not None}


class Links(BaseModel):
    """Where to go on."""

    model_config = ConfigDict(populate_by_name=True)

    itself: str = Field(alias="self", examples=["/v1/runs/0193a5b2-7c3e-7d4a-8f1b-2c3d4e5f6071"])
    steps: str
    events: str
    graph: str
    flower: str | None = Field(default=None, description="The run's tasks in Flower, where this server knows of one.")


class RunSummary(BaseModel):
    """A run as lists show it."""

    id: str
    namespace: str
    workflow: str
    version: str
    state: RunState
    title: str | None
    description: str | None
    tags: list[str]
    metadata: dict[str, Any]
    agent: str | None
    initiator: str | None
    priority: Priority | None = Field(description="Of every step; null: each has its own.")
    correlation_id: str
    idempotency_key: str | None
    error: dict[str, Any] | None = Field(description="The failure that decided it: `step`, `error_class`, `message`.")
    created_at: datetime
    scheduled_at: datetime | None
    due_at: datetime | None
    remind_before: list[float]
    timeout: float | None
    expires_at: datetime | None
    started_at: datetime | None
    finished_at: datetime | None
    rerun_of: str | None = Field(description="The earlier run of which it does a part again.")
    links: Links


class Run(RunSummary):
    """One run."""

    input: Any
    result: dict[str, Any] | None = Field(
        description="Of the steps nobody waits for, by name; null until the run has ended."
    )


def run_of(record: RunRecord, links: Links, result: dict[str, Any] | None) -> Run:
    """Return a run as it is shown; nothing is checked again."""
    return Run.model_construct(None, **_values(record), links=links, result=result)


def summary_of(record: RunSummaryRecord, links: Links) -> RunSummary:
    """Return a run as lists show it."""
    return RunSummary.model_construct(None, **_values(record), links=links)


class Submitted(BaseModel):
    """A run that was accepted, or was there before."""

    id: str
    created: bool = Field(description="False where the idempotency key led to a run that was there before.")
    links: Links


def _values(record: RunSummaryRecord) -> Mapping[str, Any]:
    values = {name: getattr(record, name) for name in record.__dataclass_fields__}
    values["remind_before"] = [each.total_seconds() for each in record.remind_before]
    values["timeout"] = as_seconds(record.timeout)
    return values

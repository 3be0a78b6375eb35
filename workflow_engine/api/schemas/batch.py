"""Batches: runs that are submitted together."""

from collections.abc import Callable
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from workflow_engine.api.schemas.requests import RequestBody
from workflow_engine.api.schemas.runs import RunRequest, Submitted
from workflow_engine.client.batch import BATCH_LIMIT, RunToSubmit
from workflow_engine.model.run_options import Text

_EXAMPLE: Any = {
    "runs": [
        {"workflow": "orders", "input": {"order_id": 17}, "idempotency_key": "order-17"},
        {"workflow": "orders", "input": {"order_id": 18}, "idempotency_key": "order-18"},
    ]
}


class BatchedRun(RunRequest):
    """A run of a batch."""

    workflow: Annotated[Text, Field(min_length=1, max_length=100)]
    idempotency_key: Annotated[Text, Field(min_length=1, max_length=200)] | None = Field(
        default=None, description="The same key of the same workflow always leads to the same run."
    )

    def to_submit(self, initiator: str | None) -> RunToSubmit:
        """Return the run as the client takes it."""
        return RunToSubmit(
            workflow=self.workflow,
            input=self.input,
            version=self.version,
            options={**self.options, "initiator": initiator},
        )


class Batch(RequestBody):
    """Runs of one or several workflows: all of them are stored, or none."""

    model_config = ConfigDict(json_schema_extra={"examples": [_EXAMPLE]})

    runs: list[BatchedRun] = Field(min_length=1, max_length=BATCH_LIMIT)

    def to_submit(self, initiator: Callable[[str | None, str], str | None]) -> list[RunToSubmit]:
        """Return the runs as the client takes them; ``initiator`` says who submits a run that names somebody."""
        return [
            run.to_submit(initiator(run.initiator, f"runs[{index}].initiator")) for index, run in enumerate(self.runs)
        ]


class BatchSubmitted(BaseModel):
    """The runs of a batch, in its order."""

    items: list[Submitted]

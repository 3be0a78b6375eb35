"""Payloads of the events about steps that had failed for good; part of the catalogue in ``events``."""

from typing import Annotated, ClassVar

from pydantic import Field

from workflow_engine.model.payload_fields import (
    Actor,
    Payload,
    Public,
    WhyAsked,
    WorkflowName,
    WorkflowVersion,
)


class RunRetried(Payload):
    """Somebody retried steps of a failed run; it runs again."""

    event = "run.retried"
    fired_by = "RetrySteps, ResolveStep"
    frequency = "when somebody asks, of a run that has failed"
    example: ClassVar = {
        "workflow": "order_fulfilment",
        "version": "1",
        "steps": 1,
        "reason": "the gateway is back",
        "actor": "ada@host-1",
    }

    workflow: WorkflowName
    version: WorkflowVersion
    steps: Annotated[int, Public, Field(description="how many failed steps were retried")]
    reason: WhyAsked
    actor: Actor


class StepRequeued(Payload):
    """A step that had failed, or that another one's failure had cancelled, is ready again."""

    event = "step.requeued"
    fired_by = "RetrySteps, ResolveStep"
    frequency = "when somebody asks"
    example: ClassVar = {"was": "failed", "reason": "the gateway is back", "actor": "ada@host-1"}

    was: Annotated[str, Public, Field(description="failed: it was asked for; cancelled: a step asked for had ended it")]
    reason: WhyAsked
    actor: Actor


class StepRestored(Payload):
    """A step that had ended because another one failed waits for its parents again: that one was retried."""

    event = "step.restored"
    fired_by = "RetrySteps, ResolveStep"
    frequency = "when somebody retries the step that had failed"
    example: ClassVar = {"was": "skipped", "missing": 1}

    was: Annotated[str, Public, Field(description="skipped or cancelled")]
    missing: Annotated[int, Public, Field(description="how many of its parents have not succeeded")]


class StepDiscarded(Payload):
    """Somebody gave a failed step up for good; its dead letter is closed, its run stays as it is."""

    event = "step.discarded"
    fired_by = "DiscardSteps"
    frequency = "when somebody asks"
    example: ClassVar = {"reason": "refunded by hand", "actor": "ada@host-1"}

    reason: WhyAsked
    actor: Actor

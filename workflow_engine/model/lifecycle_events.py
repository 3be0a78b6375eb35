"""Payloads of the events of what people ask of runs that go on; part of the catalogue in ``events``."""

from typing import Annotated, ClassVar

from pydantic import Field

from workflow_engine.model.payload_fields import (
    MESSAGE_LIMIT,
    Actor,
    Payload,
    Personal,
    Public,
    WhyAsked,
    WorkflowName,
    WorkflowVersion,
)


class RunPaused(Payload):
    """Somebody paused the run: no step of it starts until it is resumed; those that run go on."""

    event = "run.paused"
    fired_by = "PauseRun"
    frequency = "when somebody asks, of a run that goes on"
    example: ClassVar = {"reason": "the bank is closed", "actor": "ada@host-1", "running_steps": 1}

    reason: WhyAsked
    actor: Actor
    running_steps: Annotated[int, Public, Field(description="how many steps were running at that moment")]


class RunResumed(Payload):
    """Somebody resumed a paused run."""

    event = "run.resumed"
    fired_by = "ResumeRun"
    frequency = "when somebody asks, of a run that is paused"
    example: ClassVar = {"state": "running", "reason": None, "actor": "ada@host-1"}

    state: Annotated[str, Public, Field(description="running; pending, if nothing of it had started")]
    reason: WhyAsked
    actor: Actor


class RunUpdated(Payload):
    """Somebody changed what is said about a run that has not ended; of when it is due ``run.rescheduled`` tells."""

    event = "run.updated"
    fired_by = "UpdateRun"
    frequency = "when somebody asks, and it changes something"
    example: ClassVar = {
        "workflow": "order_fulfilment",
        "version": "1",
        "changed": ["metadata", "priority"],
        "actor": "ada@host-1",
    }

    workflow: WorkflowName
    version: WorkflowVersion
    changed: Annotated[list[str], Public, Field(description="what it is that changed, by name, without the values")]
    actor: Actor


class RunDeleted(Payload):
    """Somebody deleted a run that had ended; this is the last event about it, and those before it stay in the log."""

    event = "run.deleted"
    fired_by = "DeleteRuns"
    frequency = "at most once a run"
    example: ClassVar = {
        "workflow": "order_fulfilment",
        "version": "1",
        "state": "succeeded",
        "reason": "the customer asked for it",
        "actor": "ada@host-1",
    }

    workflow: WorkflowName
    version: WorkflowVersion
    state: Annotated[str, Public, Field(description="how it had ended")]
    reason: WhyAsked
    actor: Actor


class RunRepeated(Payload):
    """The run does part of an earlier one again: it has taken over the results of all steps that need no second run."""

    event = "run.repeated"
    fired_by = "RerunRun"
    frequency = "at most once a run, after run.submitted"
    example: ClassVar = {
        "workflow": "order_fulfilment",
        "version": "1",
        "rerun_of": "01996b4e-0000-7000-8000-000000000000",
        "step": "charge",
        "reused": 2,
        "reason": "wrong exchange rate",
        "actor": "ada@host-1",
    }

    workflow: WorkflowName
    version: WorkflowVersion
    rerun_of: Annotated[str, Public, Field(description="the id of the earlier run")]
    step: Annotated[str, Public, Field(description="the step from which on it does everything again")]
    reused: Annotated[int, Public, Field(description="how many results it has taken over")]
    reason: WhyAsked
    actor: Actor


class StepReused(Payload):
    """A step of a rerun has the result that it had in the earlier run; it does not run."""

    event = "step.reused"
    fired_by = "RerunRun"
    frequency = "once for each step that a rerun does not run again"
    example: ClassVar = {"rerun_of": "01996b4e-0000-7000-8000-000000000000"}

    rerun_of: Annotated[str, Public, Field(description="the id of the earlier run")]


class StepResolved(Payload):
    """Somebody said by hand what the step's result is: it has succeeded, in place of ``step.completed``."""

    event = "step.resolved"
    fired_by = "ResolveStep"
    frequency = "when somebody asks, at most once a run and step"
    example: ClassVar = {"was": "failed", "reason": "charged by telephone", "actor": "ada@host-1"}

    was: Annotated[str, Public, Field(description="where the step stood")]
    reason: Annotated[str, Personal, Field(max_length=MESSAGE_LIMIT, description="why, as whoever did it said")]
    actor: Actor

"""Settings of readiness outside the hot path: ``[orchestration]``."""

from enum import StrEnum
from typing import Annotated, Literal

from pydantic import Field, field_validator

from workflow_engine.config.section import Section


class DeploymentMode(StrEnum):
    """How a coordinator learns what is ready outside the hot path."""

    EVENT_DRIVEN_ONLY = "EventDrivenOnly"
    """By PostgreSQL's notifications alone."""
    HYBRID = "Hybrid"
    """By notifications, and by polling for what they may have missed."""
    POLLING_ONLY = "PollingOnly"
    """By polling alone: for poolers and replicas that do not carry notifications."""


class Deployment(Section):
    """What a coordinator runs."""

    mode: DeploymentMode = Field(
        default=DeploymentMode.HYBRID,
        description="How a coordinator learns what is ready: `EventDrivenOnly`, `Hybrid` or `PollingOnly`.",
    )


class FallbackPolling(Section):
    """How a coordinator polls."""

    fallback_polling_interval_seconds: float = Field(
        default=30.0, ge=0.1, le=3_600, description="How often the coordinator looks for ready steps nobody told it of."
    )
    age_threshold_seconds: float = Field(
        default=5.0,
        ge=0,
        le=3_600,
        description="How long a step must have been ready before polling takes it; the interval, if that is shorter.",
    )
    batch_size: int = Field(
        default=500, ge=1, le=10_000, description="Steps that one look takes, and one transaction dispatches."
    )


class Listening(Section):
    """What a coordinator listens to."""

    namespaces: tuple[Annotated[str, Field(min_length=1, max_length=200)], ...] = Field(
        default=("*",),
        min_length=1,
        description="Namespaces (shell patterns) whose notifications this coordinator hears; `*` is all of them.",
    )


class Classification(Section):
    """A rule about notifications; fields but ``action`` are shell patterns, and the first rule that fits decides."""

    action: Literal["process_readiness", "ignore"] = Field(
        description="`process_readiness`: dispatch what is ready; `ignore`: leave it to polling."
    )
    triggered_by: str = Field(default="*", min_length=1, max_length=200, description="`step_ready` or `run_state`.")
    namespace: str = Field(default="*", min_length=1, max_length=200, description="Of the run.")
    run_state: str = Field(default="*", min_length=1, max_length=200, description="Of the run.")
    step_state: str = Field(
        default="*", min_length=1, max_length=200, description="Of the step, if it is the only ready one; else empty."
    )


class Orchestration(Section):
    """Readiness outside the hot path."""

    deployment: Deployment = Deployment()
    fallback_poller: FallbackPolling = FallbackPolling()
    listener: Listening = Listening()
    classification: tuple[Classification, ...] = Field(
        default=(), max_length=1_000, description="Rules about notifications, before the built-in ones."
    )
    priority_aging_seconds: float = Field(
        default=60.0,
        ge=0,
        le=86_400,
        description="How long a step that the coordinator hands out has waited when it becomes more urgent by a rank, "
        "at most `critical`; 0: age does not count.",
    )

    @field_validator("priority_aging_seconds")
    @classmethod
    def _is_off_or_long(cls, value: float) -> float:
        if 0 < value < 1:
            raise ValueError("must be 0 (off) or at least 1")
        return value

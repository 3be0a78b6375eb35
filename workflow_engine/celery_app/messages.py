"""What a step's message says beside Celery's own headers."""

from collections.abc import Mapping
from typing import Any, Final

from workflow_engine.ids import RunId
from workflow_engine.model.commands import StepAttempt

STEP_TASK: Final = "wfe.step"
"""The one Celery task that runs every step."""

HEADER: Final = "wfe"
"""The message header that names the attempt."""


def task_id(run_id: str, step: str, attempt: int) -> str:
    """Return the id of an attempt's Celery task: the same however often its message is sent."""
    return f"{run_id}.{step}.{attempt}"


def attempt_as_header(attempt: StepAttempt) -> dict[str, list[Any]]:
    """Return the header that ``attempt_from_request`` reads."""
    return {HEADER: [attempt.plan_id, attempt.run_id, attempt.position, attempt.attempt]}


def attempt_from_request(request: Any) -> StepAttempt:
    """Return the attempt a Celery request (or its dict) is about."""
    header = request[HEADER] if isinstance(request, Mapping) else getattr(request, HEADER)
    plan_id, run_id, position, attempt = header
    return StepAttempt(plan_id=plan_id, run_id=RunId(run_id), position=position, attempt=attempt)

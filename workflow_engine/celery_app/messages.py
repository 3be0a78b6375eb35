"""What a step's message says beside Celery's own headers."""

from collections.abc import Mapping
from typing import Any, Final

from workflow_engine.engine.dispatcher import Dispatch
from workflow_engine.ids import RunId
from workflow_engine.model.commands import StepAttempt

STEP_TASK: Final = "wfe.step"
"""The one Celery task that runs every step."""

HEADER: Final = "wfe"
"""The message header that names the attempt."""

OTHERS: Final = "wfe_others"
"""The message header that names the positions of further steps of the run, to be run after it."""

KILL_GRACE: Final = 5.0
"""Seconds between a step's own timeout (an exception in the handler) and the killing of its process."""


def task_id(run_id: str, step: str, attempt: int) -> str:
    """Return the id of an attempt's Celery task: the same however often its message is sent."""
    return f"{run_id}.{step}.{attempt}"


def attempt_from_request(request: Any) -> StepAttempt:
    """Return the attempt a Celery request (or its dict) is about."""
    header = request[HEADER] if isinstance(request, Mapping) else getattr(request, HEADER)
    plan_id, run_id, position, attempt = header
    return StepAttempt(plan_id=plan_id, run_id=RunId(run_id), position=position, attempt=attempt)


def step_headers(step: Dispatch) -> dict[str, Any]:
    """Return what the headers of a step's message say of it, beyond what all such messages say.

    ``HEADER`` is what ``attempt_from_request`` reads.
    """
    identifier = task_id(step.run_id, step.step, step.attempt)
    return {
        "id": identifier,
        "root_id": step.run_id,
        "parent_id": None,
        "group": None if step.join is None else f"{step.run_id}.{step.join}",
        "chord": None,
        "shadow": f"{step.workflow}.{step.step}",
        "argsrepr": f"(run={step.run_id}, step={step.step}, attempt={step.attempt})",
        "timelimit": [None, None] if step.timeout is None else [step.timeout + KILL_GRACE, step.timeout],
        "correlation_id": identifier,
        HEADER: [step.plan_id, step.run_id, step.position, step.attempt],
    }

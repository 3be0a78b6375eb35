"""What a worker has at hand: the requests that Celery keeps in its main process, received and not finished."""

from typing import Any

from celery.worker import state as worker_state

from workflow_engine.celery_app.messages import STEP_TASK


def tasks_at_hand() -> set[str]:
    """Return the ids of the step tasks this worker has received and not finished."""
    # Not `worker_state.requests`: it has one request an id, so the end of a repeated message, which is ignored,
    # takes the id along although the step still runs.
    return {request.id for request in requests_at_hand() if is_step(request)}


def requests_at_hand() -> set[Any]:
    """Return the requests this worker has received and not finished."""
    return _copied("reserved_requests", "active_requests", "scheduled_requests")


def steps_that_run() -> set[Any]:
    """Return the requests of the steps that this worker runs; one whose process goes on with another is not."""
    return {request for request in _copied("active_requests") if is_step(request) and not request.is_over}


def is_step(request: Any) -> bool:
    """Tell whether a request is one of ours."""
    # `type`, not `name`: the name is the message's shadow, which says workflow and step.
    return bool(request.type == STEP_TASK)


def _copied(*names: str) -> set[Any]:
    while True:
        try:
            return {request for name in names for request in getattr(worker_state, name)}
        except RuntimeError:  # the main thread has received or finished one meanwhile
            continue

"""The one Celery task: run the step a message names."""

from typing import Any

from billiard.exceptions import WorkerLostError
from celery import Task
from celery.worker.request import Request

from workflow_engine.celery_app.messages import STEP_TASK, attempt_from_request
from workflow_engine.celery_app.runtime import StepRuntime
from workflow_engine.model.commands import StepAttempt


class StepRequest(Request):  # type: ignore[misc]  # Celery has no types
    """Celery's view, in the worker's main process, of a step message."""

    @property
    def attempt(self) -> StepAttempt:
        """The attempt it is about."""
        return attempt_from_request(self._request_dict)

    def on_failure(self, exc_info: Any, send_failed_event: bool = True, return_ok: bool = False) -> Any:
        """Give the attempt away at once if its process is gone; else do as Celery does."""
        lost = _lost_process(exc_info.exception)
        answer = super().on_failure(exc_info, send_failed_event=send_failed_event, return_ok=return_ok)
        if lost is not None:
            self.task.runtime.lose(self.attempt, lost)
        return answer


class StepTask(Task):  # type: ignore[misc]  # Celery has no types
    """Runs steps; its backend commits how they ended."""

    name = STEP_TASK
    Request = StepRequest
    acks_late = True
    reject_on_worker_lost = True
    acks_on_failure_or_timeout = True
    ignore_result = False
    track_started = False
    max_retries = None
    typing = False

    runtime: StepRuntime

    def run(self) -> Any:
        """Run the attempt named in the message's header."""
        return self.runtime.run(self.request)


def _lost_process(error: BaseException) -> str | None:
    """Return why the process that ran a task is gone; None if it is not."""
    inner = getattr(error, "exc", error)
    if isinstance(inner, WorkerLostError | SystemExit | KeyboardInterrupt):
        return str(inner) or type(inner).__name__
    return None

"""The one Celery task: run the step a message names."""

from collections.abc import Callable
from typing import Any, Final

from billiard.einfo import ExceptionInfo
from billiard.exceptions import Terminated, TimeLimitExceeded, WorkerLostError
from celery import Task
from celery.worker import state as worker_state
from celery.worker.request import Request

from workflow_engine.celery_app.continuing import traced
from workflow_engine.celery_app.kept_steps import KeptSteps, Notice
from workflow_engine.celery_app.messages import OTHERS, STEP_TASK, attempt_from_request
from workflow_engine.celery_app.runtime import StepRuntime
from workflow_engine.celery_app.time_limits import replace_limits
from workflow_engine.model.commands import StepAttempt

_ENDINGS: Final = frozenset({"task-succeeded", "task-failed", "task-retried"})


class StepRequest(Request):  # type: ignore[misc]  # Celery has no types
    """Celery's view, in the worker's main process, of a step: one that came as a message, or one kept after it."""

    is_over = False
    """Whether its step has ended and its process goes on with another, before the message is acknowledged."""
    kept: "StepRequest | None" = None
    """The kept step that runs in its place."""
    pending: Notice | None = None
    """What was told of a kept step of which no request was made yet."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """Be a request as Celery makes it."""
        super().__init__(*args, **kwargs)
        if not self._kept_steps.of_processes:
            # gevent would time all steps of a message as one: there, the attempt's own watch keeps the limits.
            self.time_limits = (None, None)

    @property
    def attempt(self) -> StepAttempt:
        """The attempt it is about."""
        return attempt_from_request(self._request_dict)

    def go_on(self, notice: Notice) -> None:
        """The step that came with the message, or the one kept after it, has ended; the next one is pending."""
        pending, kept = self.pending, self.kept
        if pending is not None:
            self._tell_of(pending)
            self._tell_ending(notice, pending.begun["id"] if pending.begun else self.id)
        elif kept is not None:
            kept.end(notice)
        else:
            self._tell_ending(notice, self.id)
        self.is_over, self.kept = True, None
        self.pending = None if notice.begun is None else notice

    def keep_pending(self) -> None:
        """Make a request of the step that runs, if there is none: it has no message to acknowledge."""
        pending, self.pending = self.pending, None
        if pending is None or pending.begun is None:
            return
        self._tell_of(pending)
        kept = type(self)(
            self._message,
            app=self._app,
            hostname=self._hostname,
            eventer=self._eventer,
            task=self._task,
            connection_errors=self._connection_errors,
            headers={**self._request_dict, OTHERS: None, **pending.begun},
            body=self._body,
            decoded=self._decoded,
            utc=self._utc,
        )
        kept.acknowledged = True
        kept.worker_pid = self.worker_pid or pending.pid
        kept.time_start = pending.at
        kept._apply_result = self._apply_result  # noqa: SLF001  by which it is terminated
        if self._apply_result is not None:
            replace_limits(self._apply_result(), self.task, kept.time_limits)
        worker_state.task_reserved(kept)
        worker_state.task_accepted(kept)
        self.kept = kept

    def end(self, notice: Notice) -> None:
        """This kept step has ended."""
        self._tell_ending(notice, self.id)
        worker_state.task_ready(self)

    def _tell_of(self, pending: Notice) -> None:
        """Tell, in task events, of a kept step what is told of one that comes with a message."""
        headers = pending.begun or {}
        about = {
            "name": headers["shadow"],
            "args": headers["argsrepr"],
            "kwargs": self._kwargsrepr,
            "root_id": headers["root_id"],
            "parent_id": None,
            "retries": 0,
            "eta": None,
            "expires": None,
        }
        self._send_event_of(headers["id"], "task-received", timestamp=pending.at, **about)
        self._send_event_of(headers["id"], "task-started", timestamp=pending.at)

    def _tell_ending(self, notice: Notice, uuid: str) -> None:
        if notice.ended is not None:
            name, fields = notice.ended
            self._send_event_of(uuid, name, timestamp=notice.at, **fields)

    def _send_event_of(self, uuid: str, type: str, **fields: Any) -> None:  # noqa: A002  Celery's name
        if self._eventer and self._eventer.enabled and self.task.send_events:
            self._eventer.send(type, uuid=uuid, **fields)

    def send_event(self, type: str, **fields: Any) -> None:  # noqa: A002  Celery's name
        """Send a task event, unless it was said before."""
        if not (self.is_over and type in _ENDINGS):
            super().send_event(type, **fields)

    def on_accepted(self, pid: int, time_accepted: float) -> None:
        """Hear from here on of the steps with which its process goes on."""
        super().on_accepted(pid, time_accepted)
        self._kept_steps.expect(self)

    def acknowledge(self) -> None:
        """Deal with the message once all that was told of the steps after it has been heard."""
        self._kept_steps.forget(self)
        kept, self.kept = self.kept, None
        if kept is None:
            super().acknowledge()
            return
        # Nobody said that it has ended: its greenlet was killed. Whoever gets the message finds what nobody does.
        worker_state.task_ready(kept)
        super().reject(requeue=True)

    def reject(self, requeue: bool = False) -> None:
        """Give the message back; what follows is no more expected."""
        self._kept_steps.forget(self)
        super().reject(requeue=requeue)

    def on_timeout(self, soft: bool, timeout: float) -> None:
        """End the step that runs, which may be a kept one; what waited behind it is repaired by redelivery."""
        self._kept_steps.drain()
        if not self.is_over:
            super().on_timeout(soft, timeout)
            return
        if self.kept is not None:
            self.kept.on_timeout(soft, timeout)
        if not soft:
            self.kept = None
            worker_state.task_ready(self)
            self.reject(requeue=True)

    def on_failure(self, exc_info: Any, send_failed_event: bool = True, return_ok: bool = False) -> Any:
        """Give the attempt away at once if its process is gone; else do as Celery does."""
        self._kept_steps.drain()
        lost = _lost_process(exc_info.exception)
        if return_ok or not self.is_over:
            answer = super().on_failure(exc_info, send_failed_event=send_failed_event, return_ok=return_ok)
            if lost is not None:
                self.task.runtime.lose(self.attempt, lost)
            return answer
        self._on_failure_after(exc_info, lost)
        return None

    def terminate(self, pool: Any, signal: str | int | None = None) -> None:
        """Terminate the step; one that has ended, whose process goes on with another, is left alone."""
        if not self.is_over:
            super().terminate(pool, signal)

    @property
    def _kept_steps(self) -> KeptSteps:
        kept: KeptSteps = self.task.kept_steps
        return kept

    def _on_failure_after(self, exc_info: ExceptionInfo, lost: str | None) -> None:
        """Something ended the process after this step had ended."""
        error = getattr(exc_info.exception, "exc", exc_info.exception)
        if isinstance(error, TimeLimitExceeded):
            return  # the pool calls `on_timeout` next
        kept, self.kept = self.kept, None
        worker_state.task_ready(self)
        self.reject(requeue=True)  # whoever gets it finds what nobody does
        if kept is None:
            return
        worker_state.task_ready(kept)
        if isinstance(error, Terminated):
            kept.on_failure(exc_info)
        elif lost is not None:
            self.task.runtime.lose(kept.attempt, lost)


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
    kept_steps: KeptSteps
    _tracer: Callable[..., Any] | None = None

    def run(self) -> Any:
        """Run the attempt named in the message's header."""
        return self.runtime.run(self.request)

    @property
    def __trace__(self) -> Callable[..., Any] | None:
        """Celery's tracer, which runs a task with all that belongs to it; here, and the kept steps after it."""
        return self._tracer

    @__trace__.setter
    def __trace__(self, tracer: Callable[..., Any] | None) -> None:
        self._tracer = None if tracer is None else traced(self, tracer)


def _lost_process(error: BaseException) -> str | None:
    """Return why the process that ran a task is gone; None if it is not."""
    inner = getattr(error, "exc", error)
    if isinstance(inner, WorkerLostError | SystemExit | KeyboardInterrupt):
        return str(inner) or type(inner).__name__
    return None

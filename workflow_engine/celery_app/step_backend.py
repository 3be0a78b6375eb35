"""The step task's own result backend: how a task ended becomes a command."""

from typing import Any

from celery import states

from workflow_engine.celery_app.backend import DurableBackend
from workflow_engine.celery_app.runtime import StepRuntime


class StepBackend(DurableBackend):
    """Commits result, transition, events and join counts of a step in one transaction.

    Celery calls it as it calls every result backend when a task ends; ordinary tasks never meet it.
    """

    runtime: StepRuntime

    def mark_as_done(
        self,
        task_id: str,
        result: Any,
        request: Any = None,
        store_result: bool = True,
        state: str = states.SUCCESS,
    ) -> None:
        """Commit a success and dispatch what it sets free, before Celery acknowledges the message."""
        del task_id, result, store_result, state
        self.runtime.report(request)

    def mark_as_failure(
        self,
        task_id: str,
        exc: BaseException,
        traceback: Any = None,
        request: Any = None,
        store_result: bool = True,
        call_errbacks: bool = True,
        state: str = states.FAILURE,
    ) -> None:
        """Commit a failure; the engine has decided what follows from it."""
        del task_id, traceback, store_result, call_errbacks, state
        self.runtime.report(request, exc)

    def mark_as_retry(
        self,
        task_id: str,
        exc: BaseException,
        traceback: Any = None,
        request: Any = None,
        store_result: bool = True,
        state: str = states.RETRY,
    ) -> None:
        """Commit a failed attempt whose step will be tried again."""
        del task_id, traceback, store_result, state
        self.runtime.report(request, exc)

    def mark_as_revoked(
        self,
        task_id: str,
        reason: str = "",
        request: Any = None,
        store_result: bool = True,
        state: str = states.REVOKED,
    ) -> None:
        """Fail the step whose task somebody revoked (in Flower, say)."""
        del task_id, store_result, state
        self.runtime.revoke(request, reason or "revoked")

    def store_result(self, *args: Any, **kwargs: Any) -> Any:
        """Keep nothing more: a step's result is in its run."""

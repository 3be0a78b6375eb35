"""Tracing: what this process adds to the traces of runs. Imports no OpenTelemetry unless there is a trace to add to."""

import sys
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from functools import cached_property
from importlib import import_module
from threading import Lock
from typing import Any, Final

from celery import signals

from workflow_engine.client.tracing import exporter_names
from workflow_engine.engine.dispatcher import Dispatch
from workflow_engine.model.commands import StepAttempt
from workflow_engine.model.records import Claim
from workflow_engine.model.trace_ids import TraceContext, run_context, step_context
from workflow_engine.plan.plan import Plan

_NOTHING: Final[AbstractContextManager[None]] = nullcontext()


class Tracing:
    """Puts handlers and messages into the trace of their run.

    The provider of spans is the application's own, if it has set one; else it is made as the environment asks, in the
    process that runs handlers and when the first one is called: exporters have threads, which no fork survives.
    """

    def __init__(self, make_provider: Callable[[], Any] | None = None) -> None:
        """Make a provider, where one is asked for, with ``make_provider``; without it only messages are traced."""
        self._make_provider = make_provider
        self._is_asked_for = bool(exporter_names())
        self._lock = Lock()

    def connect(self) -> None:
        """Make the provider, if one must be made, as soon as a pool's process has begun.

        So the first task's span of those who instrument Celery is not missed. Connected late: whatever the application
        does at the same moment comes first, and a provider of its own counts.
        """
        signals.celeryd_after_setup.connect(self._on_setup, weak=False)

    def handling(self, attempt: StepAttempt, plan: Plan, claim: Claim, worker: str) -> AbstractContextManager[None]:
        """While the block runs, be in the handler's span, below that of the attempt.

        Without a provider there is no such span, but the submitter's trace still reaches the handler's outgoing calls.
        """
        if claim.traceparent is None and not self._is_on():
            return _NOTHING
        step = plan[attempt.position].name
        context = step_context(attempt.run_id, claim.traceparent, step, attempt.attempt)
        provider = self._provider()
        if provider is None:
            inside: AbstractContextManager[None] = self._spans.inside(context)
            return inside
        about = self._spans.attributes_of(attempt, plan, claim, worker)
        span: AbstractContextManager[None] = self._spans.handler_span(
            provider, self._sampled(context, attempt.run_id), f"{plan.workflow}.{step}", about
        )
        return span

    def leaves_alone(self, step: Dispatch) -> bool:
        """Return whether nothing is added to a step's message."""
        return step.traceparent is None and not self._is_on()

    def sending(self, step: Dispatch, headers: dict[str, Any]) -> AbstractContextManager[None]:
        """Name the attempt's span in a message's headers; while the block runs, be in it.

        What instruments Celery makes its own span of the sending, below the attempt's, and names that one instead.
        """
        if self.leaves_alone(step):
            return _NOTHING
        context = step_context(step.run_id, step.traceparent, step.step, step.attempt)
        context = self._sampled(context, step.run_id)
        headers["traceparent"] = str(context)
        inside: AbstractContextManager[None] = self._spans.sending(context)
        return inside

    @cached_property
    def _spans(self) -> Any:
        return import_module("workflow_engine.celery_app.spans")

    def _on_setup(self, **_: object) -> None:
        if self._is_asked_for:
            signals.worker_process_init.connect(self._on_process, weak=False)

    def _on_process(self, **_: object) -> None:
        self._provider()

    def _is_on(self) -> bool:
        return self._is_asked_for or _global_provider() is not None

    def _provider(self) -> Any:
        """Return the provider of spans, made if it must be; None if nobody wants spans."""
        found = _global_provider()
        if found is not None or not self._is_asked_for:
            return found
        with self._lock:  # whoever comes while another thread makes it waits for it
            make, self._make_provider = self._make_provider, None
            if make is not None:
                self._spans.install(make)
        return _global_provider()

    def _sampled(self, context: TraceContext, run_id: str) -> TraceContext:
        """Return a context that says whether its trace is kept: the submitter decides, else the provider's sampler."""
        if context.trace_id != run_context(run_id, None).trace_id:
            return context
        sampled = self._spans.is_kept(_global_provider(), context.trace_id)
        return TraceContext(trace_id=context.trace_id, span_id=context.span_id, sampled=sampled)


def _global_provider() -> Any:
    """Return the process's provider of spans; None if none was set, which is known without importing anything."""
    api: Any = sys.modules.get("opentelemetry.trace")
    if api is None:
        return None
    provider = api.get_tracer_provider()
    return None if isinstance(provider, api.ProxyTracerProvider) else provider

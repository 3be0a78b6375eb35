"""The Celery app of the workers whose traces are looked at, and what its steps do."""

import os
import signal
from typing import Any

import httpx
from celery import signals
from opentelemetry import trace as opentelemetry_trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.instrumentation.celery import CeleryInstrumentor
from opentelemetry.instrumentation.httpx import HTTPXClientInstrumentor
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor

from tests.support.steps import announce_readiness, trace, wait_at_gate
from workflow_engine import ApiRequest, ApiStepHandler, Engine, NonRetryable, Retry, StepContext, Workflow

SOON = Retry(max_attempts=3, base_delay=0.1, factor=1, jitter=False)

traced = Workflow("traced")


@traced.step
def top(ctx: StepContext) -> int:
    """Begin."""
    trace(ctx)
    return 1


@traced.step(after=[top], retry=SOON)
def flaky(ctx: StepContext) -> int:
    """Fail at the first attempt."""
    trace(ctx)
    if ctx.attempt == 1:
        raise ConnectionError("no answer")
    return 2


@traced.step(after=[top], retry=SOON)
def killed(ctx: StepContext) -> int:
    """Take the process along at the first attempt, but not the spans of what it did before."""
    trace(ctx)
    if ctx.attempt == 1:
        opentelemetry_trace.get_tracer_provider().force_flush()  # type: ignore[attr-defined]  # the SDK's has it
        os.kill(os.getpid(), signal.SIGKILL)
    return 3


@traced.step(after=[flaky, killed])
def call(ctx: StepContext) -> Any:
    """Call a server, within a span of one's own."""
    trace(ctx)
    with opentelemetry_trace.get_tracer("shop").start_as_current_span("mine"):
        return httpx.get(ctx.input["url"]).json()


broken = Workflow("broken", on_failure="continue")


@broken.step
def fine(ctx: StepContext) -> int:
    """Succeed."""
    trace(ctx)
    return 1


@broken.step(after=[fine])
def fails(ctx: StepContext) -> None:
    """Fail."""
    trace(ctx)
    raise NonRetryable("as asked")


@broken.step(after=[fails])
def never(ctx: StepContext) -> None:
    """Not run."""
    trace(ctx)


class Pay(ApiStepHandler):
    """Call the server that the input names."""

    def request(self, ctx: StepContext) -> ApiRequest:
        """Ask for nothing."""
        return ApiRequest(url=ctx.input["url"])


paying = Workflow("paying")
paying.step(Pay(), name="pay")

waiting = Workflow("waiting")


@waiting.step
def hold(ctx: StepContext) -> None:
    """Wait at the gate, asking whether to go on."""
    trace(ctx)
    wait_at_gate(ctx.input["gate"], ctx)


many = Workflow("many")


@many.step
def one(ctx: StepContext) -> int:
    """Do next to nothing."""
    trace(ctx)
    return 1


def _instrument(**_: object) -> None:
    theirs = os.environ.get("TRACED_PROVIDER")
    if theirs:
        provider = TracerProvider(resource=Resource.create({"service.name": theirs}))
        provider.add_span_processor(SimpleSpanProcessor(OTLPSpanExporter()))
        opentelemetry_trace.set_tracer_provider(provider)
    if os.environ.get("TRACED_HTTPX"):
        HTTPXClientInstrumentor().instrument()
    if os.environ.get("TRACED_CELERY"):
        CeleryInstrumentor().instrument()


if os.environ.get("STAGE_WORKER"):
    engine = Engine(workflows=[traced, broken, paying, waiting, many])
    app = engine.install()
    announce_readiness()
    has_processes = os.environ["STAGE_POOL"] == "prefork"
    (signals.worker_process_init if has_processes else signals.worker_init).connect(_instrument, weak=False)

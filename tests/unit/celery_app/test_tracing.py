"""Handlers and messages are in the trace of their run; nothing is done where nobody traces."""

import subprocess
import sys
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from threading import Event

import pytest
from celery import Celery
from celery.exceptions import Ignore, Retry
from opentelemetry import propagate, trace
from opentelemetry.instrumentation.celery import CeleryInstrumentor
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SimpleSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode

from workflow_engine import Workflow, compile_plan
from workflow_engine.celery_app import spans, tracing
from workflow_engine.celery_app.dispatcher import CeleryDispatcher
from workflow_engine.celery_app.failures import HandlerFailed
from workflow_engine.celery_app.tracing import Tracing
from workflow_engine.client.tracing import current_traceparent
from workflow_engine.engine.dispatcher import Dispatch
from workflow_engine.ids import RunId
from workflow_engine.model.commands import StepAttempt
from workflow_engine.model.records import AttemptTimes, Claim, RunTimes
from workflow_engine.model.trace_ids import step_context
from workflow_engine.subscribers.otel import TellsOnce, make_provider

RUN = RunId("019b0c1e-0000-7000-8000-000000000001")
SUBMITTER = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)
ATTEMPT = StepAttempt(plan_id=1, run_id=RUN, position=0, attempt=2)

_workflow = Workflow("orders")
_workflow.step(name="charge", queue="payments")(print)
PLAN = compile_plan(_workflow)


def claim(traceparent: str | None = None) -> Claim:
    """What a worker learns with a claim."""
    return Claim(
        attempt_times=AttemptTimes(dispatched_at=NOON, started_at=NOON),
        run_times=RunTimes(submitted_at=NOON, started_at=NOON),
        correlation_id="order-17",
        traceparent=traceparent,
        run_priority=None,
        run_begun=False,
    )


def a_dispatch(traceparent: str | None = None) -> Dispatch:
    """A step to send."""
    return Dispatch(
        plan_id=1,
        run_id=RUN,
        position=0,
        attempt=2,
        workflow="orders",
        step="charge",
        queue="payments",
        priority=1,
        timeout=None,
        join=None,
        join_position=None,
        traceparent=traceparent,
    )


@pytest.fixture
def exported() -> InMemorySpanExporter:
    """Keeps what is exported."""
    return InMemorySpanExporter()


@pytest.fixture
def provider(exported: InMemorySpanExporter) -> Iterator[TracerProvider]:
    """A provider that exports at once."""
    made = TracerProvider(shutdown_on_exit=False)
    made.add_span_processor(SimpleSpanProcessor(exported))
    yield made
    made.shutdown()


@pytest.fixture
def applications(provider: TracerProvider, monkeypatch: pytest.MonkeyPatch) -> TracerProvider:
    """The provider as the application's own: OpenTelemetry lets a process set it only once."""
    monkeypatch.setattr(tracing, "_global_provider", lambda: provider)
    return provider


def test_a_handler_runs_in_a_span_below_that_of_its_attempt(
    applications: TracerProvider, exported: InMemorySpanExporter
) -> None:
    with (
        Tracing().handling(ATTEMPT, PLAN, claim(SUBMITTER), "celery@host"),
        applications.get_tracer("theirs").start_as_current_span("mine"),
    ):
        pass

    mine, handler = exported.get_finished_spans()
    attempt = step_context(RUN, SUBMITTER, "charge", 2)
    assert handler.name == "handle orders.charge"
    assert handler.context.trace_id == attempt.trace_id
    assert handler.parent is not None
    assert handler.parent.span_id == attempt.span_id
    assert mine.parent is not None
    assert mine.parent.span_id == handler.context.span_id


def test_a_handlers_span_says_what_it_runs(applications: TracerProvider, exported: InMemorySpanExporter) -> None:
    with Tracing().handling(ATTEMPT, PLAN, claim(), "celery@host"):
        pass

    (handler,) = exported.get_finished_spans()
    assert dict(handler.attributes or {}) == {
        "wfe.namespace": "default",
        "wfe.workflow.name": "orders",
        "wfe.workflow.version": "1",
        "wfe.run.id": RUN,
        "wfe.correlation_id": "order-17",
        "wfe.worker": "celery@host",
        "wfe.step.name": "charge",
        "wfe.step.attempt": 2,
        "wfe.step.dependencies": (),
        "messaging.destination.name": "payments",
        "messaging.message.id": f"{RUN}.charge.2",
    }


@pytest.mark.parametrize(
    ("raised", "error_type"),
    [
        (LookupError("no order"), "LookupError"),
        (Retry(exc=ConnectionError("no answer"), when=1), "ConnectionError"),
    ],
)
def test_what_a_handler_raises_is_recorded(
    applications: TracerProvider, exported: InMemorySpanExporter, raised: Exception, error_type: str
) -> None:
    with pytest.raises(type(raised)), Tracing().handling(ATTEMPT, PLAN, claim(), "celery@host"):
        raise raised

    (handler,) = exported.get_finished_spans()
    assert handler.status.status_code is StatusCode.ERROR
    assert (handler.attributes or {})["error.type"] == error_type
    assert [(event.name, (event.attributes or {})["exception.type"]) for event in handler.events] == [
        ("exception", error_type)
    ]


def test_what_stands_for_a_handlers_exception_is_recorded_as_that_exception(
    applications: TracerProvider, exported: InMemorySpanExporter
) -> None:
    with pytest.raises(HandlerFailed), Tracing().handling(ATTEMPT, PLAN, claim(), "celery@host"):
        raise HandlerFailed("MemoryError: too much") from MemoryError("too much")

    (handler,) = exported.get_finished_spans()
    assert (handler.attributes or {})["error.type"] == "MemoryError"


def test_a_handler_that_stops_because_its_run_was_cancelled_is_no_error(
    applications: TracerProvider, exported: InMemorySpanExporter
) -> None:
    with pytest.raises(Ignore), Tracing().handling(ATTEMPT, PLAN, claim(), "celery@host"):
        raise Ignore("the run was cancelled")

    (handler,) = exported.get_finished_spans()
    assert handler.status.status_code is StatusCode.UNSET


def test_without_a_provider_the_submitters_trace_still_reaches_outgoing_calls(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(tracing, "_global_provider", lambda: None)
    sent: dict[str, str] = {}

    with Tracing().handling(ATTEMPT, PLAN, claim(SUBMITTER), "celery@host"):
        propagate.inject(sent)

    assert sent["traceparent"] == str(step_context(RUN, SUBMITTER, "charge", 2))


def test_where_nobody_traces_nothing_is_done_and_nothing_imported() -> None:
    program = (
        "import sys\n"
        "from workflow_engine.celery_app.tracing import Tracing\n"
        "from tests.unit.celery_app.test_tracing import ATTEMPT, PLAN, a_dispatch, claim\n"
        "imported = [name for name in sys.modules if name.startswith('opentelemetry')]\n"
        "for name in imported: del sys.modules[name]\n"
        "headers = {}\n"
        "with Tracing().handling(ATTEMPT, PLAN, claim(), 'w'), Tracing().sending(a_dispatch(), headers): pass\n"
        "assert headers == {}\n"
        "assert not [name for name in sys.modules if name.startswith('opentelemetry')]\n"
    )

    found = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)

    assert found.returncode == 0, found.stderr


def test_steps_run_without_spans_where_no_provider_can_be_made(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(tracing, "_global_provider", lambda: None)
    monkeypatch.setenv("OTEL_TRACES_EXPORTER", "consol")
    traced = Tracing(make_provider)
    ran = []

    for number in range(2):
        with traced.handling(ATTEMPT, PLAN, claim(), "celery@host"):
            ran.append(number)

    assert ran == [0, 1]
    assert [record.message for record in caplog.records] == ["this process makes no spans"]


# Messages


class Published:
    """The headers of the messages that an app publishes, which go nowhere."""

    def __init__(self) -> None:
        self.app = Celery("traced", broker="memory://", set_as_current=False)
        self.app.conf.task_default_queue = "payments"

    def headers_of(self, step: Dispatch) -> dict[str, object]:
        """Send a step and return its message's headers."""
        CeleryDispatcher(self.app).dispatch([step])
        with self.app.connection_for_read() as connection:
            message = connection.SimpleQueue("payments").get(timeout=5)
            message.ack()
            headers: dict[str, object] = message.headers
            return headers


@pytest.fixture
def published() -> Published:
    """An app with an in-memory broker."""
    return Published()


def test_a_message_names_the_span_of_its_attempt_if_its_run_has_a_submitters_trace(
    published: Published, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tracing, "_global_provider", lambda: None)

    headers = published.headers_of(a_dispatch(SUBMITTER))

    assert headers["traceparent"] == str(step_context(RUN, SUBMITTER, "charge", 2))


def test_a_message_names_the_span_of_its_attempt_if_this_process_traces(
    published: Published, applications: TracerProvider
) -> None:
    assert published.headers_of(a_dispatch())["traceparent"] == str(step_context(RUN, None, "charge", 2))


def test_a_message_of_a_process_that_does_not_trace_says_nothing(
    published: Published, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tracing, "_global_provider", lambda: None)

    assert "traceparent" not in published.headers_of(a_dispatch())


@pytest.fixture
def instrumented(applications: TracerProvider) -> Iterator[None]:
    """Celery, instrumented."""
    CeleryInstrumentor().instrument(tracer_provider=applications)
    yield
    CeleryInstrumentor().uninstrument()


@pytest.mark.usefixtures("instrumented")
def test_the_instrumentations_span_of_a_message_is_below_the_attempt_and_ends(
    published: Published, exported: InMemorySpanExporter
) -> None:
    headers = published.headers_of(a_dispatch(SUBMITTER))

    (producer,) = exported.get_finished_spans()
    assert producer.parent is not None
    assert producer.parent.span_id == step_context(RUN, SUBMITTER, "charge", 2).span_id
    assert str(headers["traceparent"]).split("-")[2] == f"{producer.context.span_id:016x}"
    assert not trace.get_current_span().get_span_context().is_valid


# Submits


def test_the_callers_span_is_what_a_submit_passes_on(provider: TracerProvider) -> None:
    with provider.get_tracer("theirs").start_as_current_span("request") as span:
        given = current_traceparent()

    context = span.get_span_context()
    assert given == f"00-{context.trace_id:032x}-{context.span_id:016x}-01"
    assert current_traceparent() is None


# An endpoint that does not answer


class Hanging(SpanExporter):
    """Never comes back until it is told to."""

    def __init__(self) -> None:
        self.go_on = Event()
        self.called = Event()

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Hang."""
        self.called.set()
        self.go_on.wait(60)
        return SpanExportResult.FAILURE


@pytest.fixture
def hanging() -> Iterator[Hanging]:
    """An exporter that hangs until the test is over."""
    made = Hanging()
    yield made
    made.go_on.set()


@pytest.fixture
def stuck(hanging: Hanging, monkeypatch: pytest.MonkeyPatch) -> TracerProvider:
    """A provider whose endpoint hangs."""
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(TellsOnce(hanging), max_queue_size=100, max_export_batch_size=10))
    monkeypatch.setattr(tracing, "_global_provider", lambda: provider)
    return provider


def test_handlers_do_not_wait_for_an_endpoint_that_hangs_and_spans_do_not_pile_up(
    stuck: TracerProvider, hanging: Hanging
) -> None:
    traced = Tracing()

    for _ in range(1_000):
        with traced.handling(ATTEMPT, PLAN, claim(), "celery@host"):
            pass

    assert hanging.called.wait(10)
    processor = stuck._active_span_processor._span_processors[0]
    assert isinstance(processor, BatchSpanProcessor)
    assert len(processor._batch_processor._queue) <= 100


def test_a_process_ends_although_its_endpoint_hangs(
    stuck: TracerProvider, hanging: Hanging, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spans, "_LAST_SPANS", 0.05)
    with Tracing().handling(ATTEMPT, PLAN, claim(), "celery@host"):
        pass

    spans.close(stuck)  # comes back

    assert hanging.called.wait(10)
    assert not hanging.go_on.is_set()

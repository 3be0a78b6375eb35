"""Events become spans: with derived ids, true times, the right parents and what went wrong."""

import logging
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, TraceIdRatioBased

from workflow_engine import ConfigurationError, Workflow, compile_plan
from workflow_engine.celery_app.spans import is_kept
from workflow_engine.ids import RunId, new_run_id
from workflow_engine.model.records import EventRecord
from workflow_engine.model.trace_ids import run_context, step_context
from workflow_engine.plan.plan import Plan
from workflow_engine.store.database import Database
from workflow_engine.store.overviews import Note, RunOverview
from workflow_engine.store.transaction import Store
from workflow_engine.subscribers import otel
from workflow_engine.subscribers.otel import TellsOnce, make_provider
from workflow_engine.subscribers.spans import run_span, step_span
from workflow_engine.subscribers.telemetry import TelemetrySubscriber
from workflow_engine.testing.events import an_event

RUN = RunId("019b0c1e-0000-7000-8000-000000000001")
SUBMITTER = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)


def in_submitters_trace(name: str, **fields: Any) -> EventRecord:
    """Return an event of a run that was submitted in somebody's span."""
    step = fields.get("step", "charge") if name.startswith("step.") else None
    context = run_context(RUN, SUBMITTER) if step is None else step_context(RUN, SUBMITTER, step, 1)
    return an_event(name, traceparent=str(context), **fields)


@pytest.fixture
def plan() -> Plan:
    """A plan with the step that the events are about."""
    workflow = Workflow("order_fulfilment")
    workflow.step(name="validate")(print)
    workflow.step(name="reserve")(print)
    workflow.step(name="charge", after=["validate", "reserve"], queue="payments")(print)
    return compile_plan(workflow)


# Drafts


def test_a_runs_span_lasts_from_its_submit_to_its_end() -> None:
    span = run_span(an_event("run.succeeded", submitted_at=NOON, occurred_at=NOON + timedelta(seconds=9)), None)

    assert (span.begins, span.ends) == (NOON, NOON + timedelta(seconds=9))
    assert span.name == "run order_fulfilment"
    assert span.error is None
    assert span.attributes["wfe.run.state"] == "succeeded"


def test_a_run_without_a_submitters_span_is_the_root_of_a_trace_with_its_own_id() -> None:
    span = run_span(an_event("run.succeeded"), None)

    assert span.parent is None
    assert span.context.trace_id == int(RUN.replace("-", ""), 16)


def test_a_run_joins_its_submitters_trace_below_its_submitters_span() -> None:
    overview = RunOverview(traceparent=SUBMITTER, steps={}, counts={}, notes=[])

    span = run_span(in_submitters_trace("run.succeeded"), overview)

    assert f"{span.context.trace_id:032x}" == "0af7651916cd43dd8448eb211c80319c"
    assert span.context == run_context(RUN, SUBMITTER)
    assert str(span.parent) == SUBMITTER


def test_what_a_run_did_after_it_was_retried_is_a_span_of_its_own_below_the_first() -> None:
    retried, before = NOON + timedelta(hours=1), Note(name="run.started", step=None, at=NOON, data={})
    after = Note(name="step.requeued", step="charge", at=retried, data={"was": "failed", "actor": "ada"})
    overview = RunOverview(traceparent=SUBMITTER, steps={}, counts={}, notes=[before, after])
    first = run_span(in_submitters_trace("run.failed", submitted_at=NOON), overview)

    second = run_span(in_submitters_trace("run.failed", submitted_at=NOON, retried_at=retried), overview)
    third = run_span(in_submitters_trace("run.failed", submitted_at=NOON, retried_at=retried + timedelta(1)), overview)

    assert len({span.context.span_id for span in (first, second, third)}) == 3
    assert second.context.trace_id == first.context.trace_id
    assert second.parent == third.parent == first.context
    assert second.begins == retried
    assert second.name == "run order_fulfilment (retried)"
    assert [event.name for event in second.events] == ["step.requeued", "exception"]


def test_a_steps_span_lasts_from_its_dispatch_and_tells_when_it_was_claimed(plan: Plan) -> None:
    claimed, ended = NOON + timedelta(seconds=2), NOON + timedelta(seconds=5)

    span = step_span(an_event("step.completed", dispatched_at=NOON, started_at=claimed, occurred_at=ended), plan, None)

    assert span is not None
    assert (span.begins, span.ends) == (NOON, ended)
    assert [(event.name, event.at) for event in span.events] == [("claimed", claimed)]
    assert span.attributes["wfe.step.queue_seconds"] == 2.0


def test_a_steps_span_is_below_its_runs_and_says_what_it_is_about(plan: Plan) -> None:
    span = step_span(in_submitters_trace("step.completed", correlation_id="order-17"), plan, None)

    assert span is not None
    assert span.parent == run_context(RUN, SUBMITTER)
    assert span.context == step_context(RUN, SUBMITTER, "charge", 1)
    assert span.name == "step order_fulfilment.charge"
    assert {key: value for key, value in span.attributes.items() if key != "wfe.step.queue_seconds"} == {
        "wfe.namespace": "default",
        "wfe.workflow.name": "order_fulfilment",
        "wfe.workflow.version": "1",
        "wfe.run.id": RUN,
        "wfe.correlation_id": "order-17",
        "wfe.step.name": "charge",
        "wfe.step.attempt": 1,
        "wfe.step.dependencies": ["validate", "reserve"],
        "wfe.step.outcome": "completed",
        "messaging.destination.name": "payments",
        "messaging.message.id": f"{RUN}.charge.1",
    }


def test_a_second_attempt_links_to_the_first() -> None:
    first, second = (step_span(an_event("step.completed", attempt=attempt), None, None) for attempt in (1, 2))

    assert first is not None
    assert second is not None
    assert first.link is None
    assert second.link == first.context
    assert second.context.span_id != first.context.span_id


@pytest.mark.parametrize(
    ("name", "error_type"),
    [("step.failed", "CardDeclined"), ("step.retrying", "GatewayTimeout"), ("step.lost", "WorkerLost")],
)
def test_an_attempt_that_ended_badly_is_an_error(name: str, error_type: str) -> None:
    span = step_span(an_event(name), None, None)

    assert span is not None
    assert span.error is not None
    assert span.attributes["error.type"] == error_type
    assert span.attributes["wfe.step.outcome"] == name.removeprefix("step.")


def test_a_failure_is_an_exception_event_at_the_end() -> None:
    span = step_span(an_event("step.failed", error_class="CardDeclined", message="no funds"), None, None)

    assert span is not None
    assert span.events[-1].name == "exception"
    assert span.events[-1].at == span.ends
    assert span.events[-1].attributes == {"exception.type": "CardDeclined", "exception.message": "no funds"}


def test_a_step_that_was_cancelled_before_it_was_dispatched_has_no_span() -> None:
    assert step_span(an_event("step.cancelled", attempt=None), None, None) is None


def test_a_step_that_was_cancelled_while_it_ran_has_a_span_without_error() -> None:
    span = step_span(an_event("step.cancelled", dispatched_at=NOON, started_at=NOON), None, None)

    assert span is not None
    assert span.error is None
    assert span.attributes["wfe.reason"] == "the run was cancelled"


def test_a_failed_runs_span_carries_the_whole_run() -> None:
    overview = RunOverview(
        traceparent=None,
        steps={"succeeded": ["validate"], "failed": ["charge"], "skipped": ["ship"]},
        counts={"succeeded": 1, "failed": 1, "skipped": 1},
        notes=[Note(name="step.skipped", step="ship", at=NOON, data={"because": "charge"})],
    )

    span = run_span(an_event("run.failed"), overview)

    assert span.error == "CardDeclined: insufficient funds"
    assert span.attributes["wfe.run.failed_step"] == "charge"
    assert span.attributes["wfe.run.steps.succeeded"] == ["validate"]
    assert span.attributes["wfe.run.step_count.skipped"] == 1
    assert [event.name for event in span.events] == ["step.skipped", "exception"]
    assert span.events[0].attributes == {"wfe.step.name": "ship", "wfe.because": "charge"}


def test_a_cancelled_runs_span_says_why_and_is_no_error() -> None:
    asked = Note(name="run.cancelling", step=None, at=NOON, data={"reason": "withdrew", "actor": None})

    span = run_span(an_event("run.cancelled"), RunOverview(traceparent=None, steps={}, counts={}, notes=[asked]))

    assert span.error is None
    assert span.attributes["wfe.reason"] == "withdrew"


# Spans


class NoStore(Store):
    """Fails the test that asks it."""

    def __init__(self) -> None:
        super().__init__(Database("postgresql://nobody@127.0.0.1:1/none", max_connections=1))

    def single(self) -> Any:
        """Nobody should ask."""
        raise AssertionError("a query")


@pytest.fixture
def exported() -> InMemorySpanExporter:
    """Keeps what is exported."""
    return InMemorySpanExporter()


@pytest.fixture
def provider(exported: InMemorySpanExporter) -> Iterator[TracerProvider]:
    """An application's own provider, with ids of its own."""
    made = TracerProvider(shutdown_on_exit=False)
    made.add_span_processor(SimpleSpanProcessor(exported))
    yield made
    made.shutdown()


@pytest.fixture
def subscriber(provider: TracerProvider) -> TelemetrySubscriber:
    """A subscriber that may ask for nothing."""
    made = TelemetrySubscriber(NoStore(), lambda: provider)
    made.opened()
    return made


def test_an_exported_run_has_its_derived_ids_and_its_true_times(
    subscriber: TelemetrySubscriber, exported: InMemorySpanExporter
) -> None:
    end = NOON + timedelta(microseconds=1_000_001)

    subscriber.on_batch([an_event("run.succeeded", submitted_at=NOON, occurred_at=end)])

    (span,) = exported.get_finished_spans()
    assert span.context.trace_id == run_context(RUN, None).trace_id
    assert span.context.span_id == run_context(RUN, None).span_id
    assert span.parent is None
    assert span.start_time == int(NOON.timestamp()) * 1_000_000_000
    assert span.end_time == span.start_time + 1_000_001_000


def test_a_succeeded_run_without_submitter_costs_no_query(
    subscriber: TelemetrySubscriber, exported: InMemorySpanExporter
) -> None:
    subscriber.on_batch([an_event("run.succeeded"), an_event("run.expired")])  # NoStore would fail

    assert len(exported.get_finished_spans()) == 2


def test_an_event_that_comes_again_makes_the_same_span(
    subscriber: TelemetrySubscriber, exported: InMemorySpanExporter
) -> None:
    event = an_event("run.succeeded")

    subscriber.on_batch([event])
    subscriber.on_batch([event])

    first, second = exported.get_finished_spans()
    assert first.to_json() == second.to_json()


def test_it_works_inline_as_well(subscriber: TelemetrySubscriber, exported: InMemorySpanExporter) -> None:
    subscriber.on_batch([an_event("run.succeeded", position=None)])

    assert len(exported.get_finished_spans()) == 1


def test_a_run_whose_submitter_is_not_sampled_has_no_spans(
    subscriber: TelemetrySubscriber, exported: InMemorySpanExporter
) -> None:
    unsampled = run_context(RUN, SUBMITTER[:-1] + "0")

    subscriber.on_batch([an_event("step.completed", traceparent=str(unsampled))])

    assert exported.get_finished_spans() == ()


def test_without_a_provider_it_says_which_variable_to_set() -> None:
    with pytest.raises(ConfigurationError, match="OTEL_EXPORTER_OTLP_ENDPOINT"):
        TelemetrySubscriber(NoStore(), lambda: None).opened()


# Provider


@pytest.fixture
def quiet_environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """No OTEL_* variable of whoever runs the tests."""
    for name in ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_TRACES_EXPORTER"):
        monkeypatch.delenv(name, raising=False)
    for name in ("OTEL_SERVICE_NAME", "OTEL_RESOURCE_ATTRIBUTES", "OTEL_SDK_DISABLED", "OTEL_TRACES_SAMPLER"):
        monkeypatch.delenv(name, raising=False)
    return monkeypatch


def test_nothing_is_set_up_unless_the_environment_asks(quiet_environment: pytest.MonkeyPatch) -> None:
    assert make_provider() is None


@pytest.mark.parametrize(
    "variables",
    [
        {"OTEL_TRACES_EXPORTER": "none", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9"},
        {"OTEL_SDK_DISABLED": "true", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9"},
    ],
)
def test_nothing_is_set_up_if_the_environment_says_no(
    quiet_environment: pytest.MonkeyPatch, variables: dict[str, str]
) -> None:
    for name, value in variables.items():
        quiet_environment.setenv(name, value)

    assert make_provider() is None


@pytest.mark.parametrize(
    ("variable", "value", "service"),
    [
        (None, "", "workflow-engine"),
        ("OTEL_SERVICE_NAME", "shop", "shop"),
        ("OTEL_RESOURCE_ATTRIBUTES", "service.name=shop", "shop"),
    ],
)
def test_the_service_is_ours_unless_it_is_named(
    quiet_environment: pytest.MonkeyPatch, variable: str | None, value: str, service: str
) -> None:
    quiet_environment.setenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://127.0.0.1:9/v1/traces")
    if variable is not None:
        quiet_environment.setenv(variable, value)

    provider = make_provider()

    assert provider is not None
    assert provider.resource.attributes["service.name"] == service
    provider.shutdown()


def test_an_exporter_that_is_not_installed_is_named(quiet_environment: pytest.MonkeyPatch) -> None:
    quiet_environment.setenv("OTEL_TRACES_EXPORTER", "consol")

    with pytest.raises(ConfigurationError, match=r"OTEL_TRACES_EXPORTER: .*'consol'.*did you mean 'console'\?"):
        make_provider()


def test_a_ratio_keeps_its_share_of_runs_although_their_ids_are_uuids() -> None:
    provider = TracerProvider(sampler=TraceIdRatioBased(0.25), shutdown_on_exit=False)

    kept = sum(is_kept(provider, run_context(new_run_id(), None).trace_id) for _ in range(2_000))

    assert 350 < kept < 650  # of 500, by chance: more than seven standard deviations on both sides


def test_of_a_run_that_is_not_kept_there_is_no_span(exported: InMemorySpanExporter) -> None:
    provider = TracerProvider(sampler=ALWAYS_OFF, shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exported))
    subscriber = TelemetrySubscriber(NoStore(), lambda: provider)
    subscriber.opened()

    subscriber.on_batch([an_event("run.succeeded"), an_event("step.completed")])

    assert exported.get_finished_spans() == ()


def test_of_a_run_whose_submitter_is_sampled_every_span_is_kept(exported: InMemorySpanExporter, plan: Plan) -> None:
    provider = TracerProvider(sampler=ALWAYS_OFF, shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exported))
    subscriber = TelemetrySubscriber(NoStore(), lambda: provider)
    subscriber.opened()
    subscriber._plans["default", "order_fulfilment", "1"] = plan

    subscriber.on_batch([in_submitters_trace("step.completed")])

    assert len(exported.get_finished_spans()) == 1


class Moody(SpanExporter):
    """Takes spans, or not, and complains each time."""

    def __init__(self) -> None:
        self.takes = True

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Complain if it does not."""
        if self.takes:
            return SpanExportResult.SUCCESS
        logging.getLogger(__name__).error("cannot")
        return SpanExportResult.FAILURE


def test_an_endpoint_that_is_down_is_told_of_once_and_once_when_it_is_back(caplog: pytest.LogCaptureFixture) -> None:
    moody = Moody()
    exporter = TellsOnce(moody)

    for takes in (True, False, False, False, True):
        moody.takes = takes
        exporter.export([])

    own = [record.message for record in caplog.records if record.name == otel.logger.name]
    assert [record.message for record in caplog.records if record.name == __name__] == ["cannot"]
    assert len(own) == 2
    assert "takes spans again" in own[1]

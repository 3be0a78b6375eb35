"""One trace a run, across real workers, a real relay and a real OTLP receiver, whatever is retried and killed."""

import json
import os
import socket
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.instrumentation.celery import CeleryInstrumentor
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.trace import Tracer

from tests.acceptance import traced_app
from tests.fixtures.stages import StageMaker
from tests.support.otlp_receiver import OtlpReceiver, ReceivedSpan
from tests.support.processes import ROOT, Stage, WorkerProcess, wait_for_all, wait_until
from workflow_engine.embedded.processes import ChildProcess, Program
from workflow_engine.model.records import RunRecord, StepRecord

APP = "tests.acceptance.traced_app"
CONSUMER, PRODUCER = 5, 4
SOON = {"OTEL_BSP_SCHEDULE_DELAY": "100"}
"""Milliseconds that a worker keeps its spans."""


class Shop:
    """A server of somebody else's; it notes the headers it gets."""

    def __init__(self) -> None:
        self.traceparents: list[str] = []
        shop = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                shop.traceparents.append(self.headers.get("traceparent", ""))
                body = json.dumps({"paid": True}).encode()
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/pay"


@contextmanager
def opened_shop() -> Iterator[Shop]:
    """Serve."""
    shop = Shop()
    Thread(target=shop.server.serve_forever, name="shop", daemon=True).start()
    try:
        yield shop
    finally:
        shop.server.shutdown()
        shop.server.server_close()


@contextmanager
def relay(stage: Stage, **variables: str) -> Iterator[ChildProcess]:
    """Run a relay; its log is printed at the end."""
    ready, log = stage.folder / "relay-ready", stage.folder / "relay.log"
    ready.unlink(missing_ok=True)
    process = ChildProcess(
        Program(
            argv=[sys.executable, "-m", "workflow_engine.cli.main", "relay", "--ready-file", str(ready)],
            env={**os.environ, **stage.environment(), **variables},
            log=log,
            cwd=ROOT,
        )
    )
    try:
        wait_until(lambda: ready.exists() or process.returncode is not None, within=30, why="the relay is ready")
        assert process.returncode is None, log.read_text()
        wait_until(lambda: stage.rows("SELECT FROM cursors WHERE subscriber = 'telemetry'"), why="the cursor is there")
        yield process
    finally:
        process.sweep()
        print("--- relay", log.read_text(errors="replace"), sep="\n")


@contextmanager
def receiving(folder: Path) -> Iterator[OtlpReceiver]:
    """Run a collector."""
    receiver = OtlpReceiver(folder)
    try:
        yield receiver
    finally:
        receiver.stop()


@contextmanager
def submitting(receiver: OtlpReceiver, *, instrumented: bool) -> Iterator[Tracer]:
    """Be an application that traces; perhaps with Celery instrumented."""
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(OTLPSpanExporter(f"{receiver.endpoint}/v1/traces")))
    if instrumented:
        CeleryInstrumentor().instrument(tracer_provider=provider)
    try:
        yield provider.get_tracer("shop")
    finally:
        if instrumented:
            CeleryInstrumentor().uninstrument()
        provider.shutdown()


def start_worker(stage: Stage, receiver: OtlpReceiver, *options: str, **variables: str) -> WorkerProcess:
    """Start a worker that traces."""
    endpoint = {"OTEL_EXPORTER_OTLP_ENDPOINT": receiver.endpoint}
    return stage.start_worker("-c2", *options, app=APP, **endpoint, **SOON, **variables)


def is_whole(spans: list[ReceivedSpan]) -> bool:
    """Whether there is one root, and every other span's parent is there."""
    ids = {span.span_id for span in spans}
    return [span.parent_id for span in spans if span.parent_id not in ids] == [""]


def orphans(spans: list[ReceivedSpan]) -> list[ReceivedSpan]:
    """Return the spans whose parents have not arrived."""
    ids = {span.span_id for span in spans}
    return [span for span in spans if span.parent_id and span.parent_id not in ids]


def attempt_of(span: ReceivedSpan) -> tuple[str, int]:
    """Which attempt a span is about."""
    return span.attributes["wfe.step.name"], span.attributes["wfe.step.attempt"]


def nanoseconds(moment: datetime | None) -> int:
    """Return a time as spans have it."""
    assert moment is not None
    return (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1) * 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Story:
    """A run with a retry, a killed worker and an HTTP call, and everything that the receiver got."""

    record: RunRecord
    steps: list[StepRecord]
    spans: list[ReceivedSpan]
    traceparents: list[str]
    """What the server that was called has heard."""
    instrumented: bool

    def named(self, name: str) -> ReceivedSpan:
        """Return the one span of that name."""
        (found,) = [span for span in self.spans if span.name == name]
        return found

    def attempts(self, prefix: str) -> dict[tuple[str, int], ReceivedSpan]:
        """Return the spans of attempts, whose names begin so."""
        return {attempt_of(span): span for span in self.spans if span.name.startswith(f"{prefix} ")}


ATTEMPTS = {("top", 1), ("flaky", 1), ("flaky", 2), ("killed", 1), ("killed", 2), ("call", 1)}
HANDLED = ATTEMPTS - {("killed", 1)}
"""The attempt that killed its process took its handler's span along."""


def _live(new_stage: StageMaker, folder: Path, *, instrumented: bool) -> Story:
    with ExitStack() as stack:
        receiver = stack.enter_context(receiving(folder))
        tracer = stack.enter_context(submitting(receiver, instrumented=instrumented))
        shop = stack.enter_context(opened_shop())
        stage = stack.enter_context(new_stage())
        stage.start_coordinator()
        stack.enter_context(relay(stage, OTEL_EXPORTER_OTLP_ENDPOINT=receiver.endpoint))
        start_worker(stage, receiver, TRACED_HTTPX="yes", **({"TRACED_CELERY": "yes"} if instrumented else {}))
        with tracer.start_as_current_span("POST /orders"):
            run = stage.submit(traced_app.traced, {"url": shop.url})
        assert run.wait(timeout=30).state == "succeeded"
        wait_until(
            lambda: is_whole(receiver.spans()) and {"run traced", "handle traced.call"} <= receiver.names(),
            why="all spans have arrived",
        )
        return Story(
            record=run.record,
            steps=run.steps(),
            spans=receiver.spans(),
            traceparents=shop.traceparents,
            instrumented=instrumented,
        )


@pytest.fixture(scope="module")
def live(new_stage: StageMaker, tmp_path_factory: pytest.TempPathFactory) -> Callable[[bool], Story]:
    """Let the story happen, once with and once without Celery instrumented."""
    return cache(lambda instrumented: _live(new_stage, tmp_path_factory.mktemp("receiver"), instrumented=instrumented))


@pytest.fixture(
    params=[
        pytest.param(False, id="ours alone", marks=pytest.mark.prefork),
        pytest.param(True, id="Celery instrumented", marks=pytest.mark.prefork),
    ]
)
def story(request: pytest.FixtureRequest, live: Callable[[bool], Story]) -> Story:
    """What happened."""
    return live(request.param)


def test_a_run_is_one_tree_in_which_no_span_is_twice(story: Story) -> None:
    assert is_whole(story.spans)
    assert len({span.span_id for span in story.spans}) == len(story.spans)
    assert len({span.trace_id for span in story.spans}) == 1
    number = Counter(span.name for span in story.spans)
    messages = number.pop("apply_async/wfe.step", 0)
    assert 0 < messages <= len(ATTEMPTS) if story.instrumented else messages == 0  # a kept step has none
    number.pop("run/wfe.step", 0)  # of the message that came back from the killed process, and was ignored
    assert number.total() == len({"POST /orders", "run", "mine", "GET"}) + len(ATTEMPTS) + len(HANDLED)


def test_a_run_is_below_the_span_it_was_submitted_in(story: Story) -> None:
    assert story.named("POST /orders").parent_id == ""
    assert story.named("run traced").parent_id == story.named("POST /orders").span_id


def test_each_attempt_is_below_its_run(story: Story) -> None:
    steps = story.attempts("step")

    assert set(steps) == ATTEMPTS
    assert {span.parent_id for span in steps.values()} == {story.named("run traced").span_id}


def test_each_handler_is_below_its_attempt(story: Story) -> None:
    steps, handlers = story.attempts("step"), story.attempts("handle")
    by_id = {span.span_id: span for span in story.spans}

    assert set(handlers) == HANDLED
    for attempt, handler in handlers.items():
        above = by_id[handler.parent_id]
        if above.name == "apply_async/wfe.step":  # a kept step has no message
            assert (handler.kind, above.kind, story.instrumented) == (CONSUMER, PRODUCER, True)
            above = by_id[above.parent_id]
        assert above == steps[attempt]


def test_an_http_call_is_below_its_handler_and_the_server_is_told(story: Story) -> None:
    mine, call = story.named("mine"), story.named("GET")

    assert mine.parent_id == story.attempts("handle")["call", 1].span_id
    assert call.parent_id == mine.span_id
    assert story.traceparents == [f"00-{call.trace_id}-{call.span_id}-01"]


def test_attempts_that_ended_badly_say_how_and_the_next_one_links_to_them(story: Story) -> None:
    steps, handlers = story.attempts("step"), story.attempts("handle")

    assert {attempt for attempt, span in steps.items() if span.is_error} == {("flaky", 1), ("killed", 1)}
    assert steps["flaky", 1].attributes["error.type"] == "ConnectionError"
    assert steps["killed", 1].attributes["error.type"] == "WorkerLost"
    assert "SIGKILL" in steps["killed", 1].attributes["wfe.reason"]
    assert steps["flaky", 2].links == [steps["flaky", 1].span_id]
    assert steps["killed", 2].links == [steps["killed", 1].span_id]
    (raised,) = handlers["flaky", 1].events
    assert "traced_app.py" in raised["attributes"]["exception.stacktrace"]


def test_spans_have_the_times_at_which_things_happened(story: Story) -> None:
    run, steps = story.named("run traced"), story.attempts("step")
    last = {(step.name, step.attempt): step for step in story.steps}

    assert (run.begins, run.ends) == (nanoseconds(story.record.created_at), nanoseconds(story.record.finished_at))
    for attempt, step in last.items():
        span = steps[attempt]
        assert (span.begins, span.ends) == (nanoseconds(step.dispatched_at), nanoseconds(step.finished_at))
        assert span.events[0]["at"] == nanoseconds(step.started_at)
    assert all(run.begins <= span.begins <= span.ends <= run.ends for span in steps.values())
    assert steps["flaky", 1].ends < steps["flaky", 2].begins


def test_a_handler_runs_between_its_claim_and_the_end_of_its_attempt(story: Story) -> None:
    steps = story.attempts("step")

    for attempt, handler in story.attempts("handle").items():
        claimed = steps[attempt].events[0]
        assert claimed["name"] == "claimed"
        assert steps[attempt].begins <= claimed["at"] <= handler.ends
        assert story.instrumented or claimed["at"] <= handler.begins <= handler.ends <= steps[attempt].ends


def test_spans_of_workers_and_relay_are_of_one_service(story: Story) -> None:
    assert {span.service for span in story.spans if "traced" in span.name} == {"workflow-engine"}


# Other endings, other providers


@pytest.fixture
def receiver(tmp_path: Path) -> Iterator[OtlpReceiver]:
    """A collector of the test's own."""
    with receiving(tmp_path / "receiver") as made:
        yield made


@pytest.fixture
def traced_stage(lonely_stage: Stage, receiver: OtlpReceiver) -> Iterator[Stage]:
    """A stage with a relay that traces; workers are the test's."""
    with relay(lonely_stage, OTEL_EXPORTER_OTLP_ENDPOINT=receiver.endpoint):
        yield lonely_stage


def test_a_failed_run_is_a_trace_of_its_own_whose_spans_carry_the_state_of_every_step(
    traced_stage: Stage, receiver: OtlpReceiver
) -> None:
    start_worker(traced_stage, receiver)

    run = traced_stage.submit(traced_app.broken, correlation_id="order-17").wait(timeout=30)
    wait_until(lambda: is_whole(receiver.spans()) and "handle broken.fails" in receiver.names(), why="it has arrived")

    by_name = {span.name: span for span in receiver.spans()}
    whole, fails = by_name["run broken"], by_name["step broken.fails"]
    assert run.state == "failed"
    assert {span.trace_id for span in by_name.values()} == {run.id.replace("-", "")}
    assert {span.attributes["wfe.correlation_id"] for span in by_name.values()} == {"order-17"}
    assert whole.is_error
    assert whole.attributes["wfe.run.failed_step"] == "fails"
    for span in (whole, fails):
        assert span.attributes["wfe.run.steps.succeeded"] == ["fine"]
        assert span.attributes["wfe.run.steps.failed"] == ["fails"]
        assert span.attributes["wfe.run.steps.skipped"] == ["never"]
    assert [event["name"] for event in whole.events] == ["started", "step.skipped", "exception"]


def test_a_cancelled_run_says_why(traced_stage: Stage, receiver: OtlpReceiver) -> None:
    start_worker(traced_stage, receiver)
    run = traced_stage.submit(traced_app.waiting, {"gate": "never"})
    traced_stage.wait_for_call(run, "hold")

    run.cancel(reason="customer withdrew")
    wait_until(lambda: is_whole(receiver.spans()) and "run waiting" in receiver.names(), why="it has arrived")

    by_name = {span.name: span for span in receiver.spans()}
    assert by_name["run waiting"].attributes["wfe.reason"] == "customer withdrew"
    assert by_name["step waiting.hold"].attributes["wfe.step.outcome"] == "cancelled"
    assert not any(span.is_error for span in by_name.values())


def test_the_call_of_an_api_step_is_below_its_handler_and_the_server_is_told(
    traced_stage: Stage, receiver: OtlpReceiver
) -> None:
    start_worker(traced_stage, receiver)
    with opened_shop() as shop:
        run = traced_stage.submit(traced_app.paying, {"url": shop.url}).wait(timeout=30)
        wait_until(lambda: is_whole(receiver.spans()) and "GET" in receiver.names(), why="it has arrived")

    by_name = {span.name: span for span in receiver.spans()}
    assert run.result == {"pay": {"paid": True}}
    assert by_name["handle paying.pay"].parent_id == by_name["step paying.pay"].span_id
    assert by_name["GET"].parent_id == by_name["handle paying.pay"].span_id
    assert by_name["GET"].attributes["http.response.status_code"] == 200
    assert shop.traceparents == [f"00-{run.id.replace('-', '')}-{by_name['GET'].span_id}-01"]


@pytest.mark.parametrize("pool", ["threads", "gevent"])
def test_steps_beside_each_other_in_one_process_keep_their_spans_apart(
    traced_stage: Stage, receiver: OtlpReceiver, pool: str
) -> None:
    start_worker(traced_stage, receiver, "--pool", pool)
    with opened_shop() as shop:
        runs = traced_stage.client.submit_many(traced_app.paying, [{"url": shop.url}] * 10)
        assert wait_for_all(runs) == ["succeeded"] * 10
        wait_until(
            lambda: Counter(span.name for span in receiver.spans())["GET"] == 10 and not orphans(receiver.spans()),
            why="all spans have arrived",
        )

    for run in runs:
        spans = {span.name: span for span in receiver.spans() if span.trace_id == run.id.replace("-", "")}
        assert spans["handle paying.pay"].parent_id == spans["step paying.pay"].span_id
        assert spans["GET"].parent_id == spans["handle paying.pay"].span_id


def test_an_applications_own_provider_gets_the_handlers_spans(traced_stage: Stage, receiver: OtlpReceiver) -> None:
    start_worker(traced_stage, receiver, TRACED_PROVIDER="theirs")

    traced_stage.submit(traced_app.many).wait(timeout=30)
    wait_until(lambda: is_whole(receiver.spans()) and "handle many.one" in receiver.names(), why="it has arrived")

    assert {span.name: span.service for span in receiver.spans()} == {
        "run many": "workflow-engine",
        "step many.one": "workflow-engine",
        "handle many.one": "theirs",
    }


COMPLAINT = "the tracing endpoint does not take spans"
BEHIND = """
    SELECT FROM cursors
     WHERE subscriber = 'telemetry'
       AND position < (SELECT max(id) FROM events WHERE name IN ('step.completed', 'run.succeeded'))
"""


@pytest.fixture
def deaf_endpoint() -> Iterator[str]:
    """An endpoint that takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0), backlog=128) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}"


def test_an_endpoint_that_does_not_answer_holds_up_nothing_and_is_told_of_once(
    lonely_stage: Stage, deaf_endpoint: str
) -> None:
    stage, deaf = lonely_stage, {"OTEL_EXPORTER_OTLP_ENDPOINT": deaf_endpoint, "OTEL_EXPORTER_OTLP_TIMEOUT": "0.3"}
    with relay(stage, **deaf):
        worker = stage.start_worker("-c1", app=APP, **deaf, **SOON)
        first = stage.client.submit_many(traced_app.many, range(50))
        assert wait_for_all(first) == ["succeeded"] * 50
        wait_until(lambda: worker.log.read_text().count(COMPLAINT) == 1, why="the worker complains")
        second = stage.client.submit_many(traced_app.many, range(50))
        assert wait_for_all(second) == ["succeeded"] * 50
        wait_until(lambda: not stage.rows(BEHIND), why="the relay gives up what it cannot send, and goes on")

        worker.stop()

    assert worker.log.read_text().count(COMPLAINT) == 1
    assert (stage.folder / "relay.log").read_text().count(COMPLAINT) == 1
    assert stage.rows("SELECT FROM deliveries") == []

"""Which measurements events make, how they are named and bounded, and what the port answers."""

import os
import re
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from tests.support.scraping import Page, scrape
from workflow_engine.errors import ConfigurationError
from workflow_engine.metrics import api as api_instruments
from workflow_engine.metrics import instruments
from workflow_engine.metrics import readiness as readiness_instruments
from workflow_engine.metrics.instrument import Instrument, Kind
from workflow_engine.metrics.instruments import INSTRUMENTS
from workflow_engine.metrics.kept import KEPT_SECONDS, Kept
from workflow_engine.metrics.labels import CLOSED_SETS, LabelLimit
from workflow_engine.metrics.meter import Metrics
from workflow_engine.metrics.opening import metrics_are_wanted, open_metrics, wants_otlp
from workflow_engine.metrics.otlp import otlp_reader
from workflow_engine.model.events import CATALOGUE
from workflow_engine.model.records import EventRecord
from workflow_engine.model.run import RUN_STATE_AFTER, RunState
from workflow_engine.model.step import STEP_STATE_AFTER, StepState
from workflow_engine.subscribers.metrics import MetricsSubscriber
from workflow_engine.testing import an_event

NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)
OF_THE_RUN = {"namespace": "default", "workflow": "order_fulfilment"}
OF_THE_STEP = {**OF_THE_RUN, "step": "charge"}


def after(seconds: float) -> datetime:
    return NOON + timedelta(seconds=seconds)


@pytest.fixture
def metrics() -> Iterator[Metrics]:
    metrics = Metrics()
    yield metrics
    metrics.close()


@pytest.fixture
def page_after(metrics: Metrics) -> Callable[..., Page]:
    """What Prometheus reads once the subscriber has had events."""
    subscriber = MetricsSubscriber(lambda: metrics)
    subscriber.opened()
    url = metrics.serve("127.0.0.1", 0).url

    def deliver(*events: EventRecord) -> Page:
        subscriber.on_batch(events)
        return scrape(url)

    return deliver


def sample_of(instrument: Instrument) -> str:
    return instrument.prometheus_name + ("_count" if instrument.kind is Kind.HISTOGRAM else "")


# Names


@pytest.mark.parametrize("instrument", INSTRUMENTS, ids=lambda each: each.name)
def test_a_name_keeps_to_prometheus_conventions(instrument: Instrument) -> None:
    name = instrument.prometheus_name

    assert re.fullmatch(r"wfe(_[a-z]+)+", name)
    assert name.endswith("_total") == (instrument.kind is Kind.COUNTER)
    assert name.removesuffix("_total").endswith("_seconds") == (instrument.unit == "s")
    assert not re.search(r"_(ms|milliseconds|minutes|count|sum|bucket|info)($|_)", name)
    assert all(re.fullmatch(r"[a-z]+(_[a-z]+)*", label) for label in instrument.labels)
    assert not {"job", "instance", "le", "quantile", "run", "id"} & set(instrument.labels)


@pytest.mark.parametrize("instrument", INSTRUMENTS, ids=lambda each: each.name)
def test_a_declaration_is_whole(instrument: Instrument) -> None:
    assert re.fullmatch(r"[A-Z0-9].*\.", instrument.description)
    assert instrument.sources
    assert bool(instrument.bounds) == (instrument.kind is Kind.HISTOGRAM)
    assert sorted(set(instrument.bounds)) == list(instrument.bounds)


def test_every_declared_instrument_is_in_the_table_once() -> None:
    modules = (instruments, readiness_instruments, api_instruments)
    declared = {each for module in modules for each in vars(module).values() if isinstance(each, Instrument)}

    assert sorted(declared, key=lambda each: each.name) == sorted(INSTRUMENTS, key=lambda each: each.name)
    assert len({each.prometheus_name for each in INSTRUMENTS}) == len(INSTRUMENTS)


@pytest.mark.parametrize("instrument", INSTRUMENTS, ids=lambda each: each.name)
def test_the_port_shows_an_instrument_as_it_is_declared(metrics: Metrics, instrument: Instrument) -> None:
    labels = dict.fromkeys(instrument.labels, "x")
    match instrument.kind:
        case Kind.COUNTER:
            metrics.count(instrument, labels)
        case Kind.HISTOGRAM:
            metrics.record(instrument, labels, 1.0)
        case Kind.GAUGE:
            metrics.observe({instrument: lambda: [(1, labels)]})
    page = scrape(metrics.serve("127.0.0.1", 0).url)

    family = page.families[instrument.prometheus_name.removesuffix("_total")]
    assert (family.type, family.documentation) == (instrument.kind.value, instrument.description)
    assert page.value(sample_of(instrument), **labels) == 1
    assert not any("otel" in label for sample in family.samples for label in sample.labels)


# Events


def test_every_event_of_a_run_or_step_has_its_state() -> None:
    move_no_run = {"run.stale", "run.due_soon", "run.overdue", "run.rescheduled", "run.repeated"}
    move_no_run |= {"run.updated", "run.deleted"}
    assert RUN_STATE_AFTER.keys() == {name for name in CATALOGUE if name.startswith("run.")} - move_no_run
    assert STEP_STATE_AFTER.keys() == {name for name in CATALOGUE if name.startswith("step.")} - {"step.discarded"}


@pytest.mark.parametrize("name", CATALOGUE)
def test_an_event_is_counted_by_its_name(page_after: Callable[..., Page], name: str) -> None:
    page = page_after(an_event(name), an_event(name))

    assert page.values("wfe_events_total", "name") == {name: 2}


def test_a_batch_that_failed_counts_nothing_twice(page_after: Callable[..., Page]) -> None:
    """The relay hands its events over once more, one by one."""
    good, bad = an_event("run.cancelling"), replace(an_event("run.succeeded"), data={"started_at": "some day"})
    with pytest.raises(ValueError, match="some day"):
        page_after(good, bad)

    page = page_after(good)

    assert page.values("wfe_events_total", "name") == {"run.cancelling": 1}


@pytest.mark.parametrize(("name", "state"), RUN_STATE_AFTER.items())
def test_a_runs_event_counts_the_state_it_came_to(page_after: Callable[..., Page], name: str, state: RunState) -> None:
    page = page_after(an_event(name))

    assert page.values("wfe_runs_total", "state") == {state: 1}
    assert page.value("wfe_runs_total", **OF_THE_RUN, state=state) == 1


@pytest.mark.parametrize(("name", "state"), STEP_STATE_AFTER.items())
def test_a_steps_event_counts_the_state_it_came_to(
    page_after: Callable[..., Page], name: str, state: StepState
) -> None:
    page = page_after(an_event(name))

    assert page.values("wfe_steps_total", "state") == {state: 1}
    assert page.value("wfe_steps_total", **OF_THE_STEP, state=state) == 1


@pytest.mark.parametrize(
    ("name", "state"), [("step.completed", "succeeded"), ("step.retrying", "retrying"), ("step.failed", "failed")]
)
def test_the_end_of_an_attempt_tells_how_long_it_waited_and_ran(
    page_after: Callable[..., Page], name: str, state: str
) -> None:
    page = page_after(an_event(name, dispatched_at=after(0), started_at=after(0.5), occurred_at=after(2.5)))

    assert page.value("wfe_step_queue_wait_seconds_sum", **OF_THE_STEP) == 0.5
    assert page.value("wfe_step_duration_seconds_sum", **OF_THE_STEP, state=state) == 2
    assert page.value("wfe_step_duration_seconds_bucket", **OF_THE_STEP, state=state, le="2.5") == 1
    assert page.value("wfe_step_duration_seconds_bucket", **OF_THE_STEP, state=state, le="1.0") == 0


def test_a_lost_attempt_counts_as_lost_and_has_no_duration(page_after: Callable[..., Page]) -> None:
    page = page_after(an_event("step.lost", dispatched_at=after(0), started_at=after(1), occurred_at=after(16)))

    assert page.value("wfe_steps_lost_total", **OF_THE_STEP) == 1
    assert page.value("wfe_step_queue_wait_seconds_sum", **OF_THE_STEP) == 1
    assert "wfe_step_duration_seconds" not in page.families


def test_a_step_that_was_cancelled_before_it_began_has_no_times(page_after: Callable[..., Page]) -> None:
    page = page_after(an_event("step.cancelled", dispatched_at=None, started_at=None))

    assert not {"wfe_step_duration_seconds", "wfe_step_queue_wait_seconds"} & page.families.keys()


def test_an_attempt_that_is_tried_again_is_a_retry(page_after: Callable[..., Page]) -> None:
    page = page_after(an_event("step.retrying"), an_event("step.failed"))

    assert page.value("wfe_step_retries_total", **OF_THE_STEP) == 1


def test_a_dispatch_at_once_has_no_latency_and_one_after_a_delay_the_time_it_was_late(
    page_after: Callable[..., Page],
) -> None:
    page = page_after(
        an_event("step.dispatched", ready_at=None, occurred_at=after(9)),
        an_event("step.dispatched", ready_at=after(1), occurred_at=after(1.25)),
    )

    assert page.value("wfe_step_dispatch_latency_seconds_count", **OF_THE_STEP) == 2
    assert page.value("wfe_step_dispatch_latency_seconds_sum", **OF_THE_STEP) == 0.25


@pytest.mark.parametrize("name", ["run.succeeded", "run.failed", "run.cancelled"])
def test_the_end_of_a_run_tells_how_long_it_took_from_its_first_claim(
    page_after: Callable[..., Page], name: str
) -> None:
    page = page_after(an_event(name, submitted_at=after(0), started_at=after(10), occurred_at=after(40)))

    assert page.value("wfe_run_duration_seconds_sum", **OF_THE_RUN, state=name.removeprefix("run.")) == 30


def test_a_run_that_never_began_has_no_duration(page_after: Callable[..., Page]) -> None:
    assert "wfe_run_duration_seconds" not in page_after(an_event("run.expired", started_at=None)).families


def test_clocks_that_disagree_make_no_negative_times(page_after: Callable[..., Page]) -> None:
    page = page_after(an_event("step.completed", started_at=after(5), occurred_at=after(4)))

    assert page.value("wfe_step_duration_seconds_sum", **OF_THE_STEP, state="succeeded") == 0


def test_names_of_any_form_come_through_as_they_are(page_after: Callable[..., Page]) -> None:
    name = 'a "b" \\ c\nd ü'
    page = page_after(an_event("run.started", workflow=name))

    assert page.value("wfe_runs_total", namespace="default", workflow=name, state="running") == 1


def test_a_subscriber_without_metrics_takes_events_and_does_nothing() -> None:
    subscriber = MetricsSubscriber(lambda: None)
    subscriber.opened()

    subscriber.on_batch([an_event("run.started")])


# Bounds


def test_names_after_the_limit_are_called_other_and_closed_labels_stay() -> None:
    limit = LabelLimit(2)
    made = [limit.bounded({"workflow": f"w{number}", "step": "s", "state": "failed"}) for number in (1, 2, 3, 1)]

    assert [labels["workflow"] for labels in made] == ["w1", "w2", "other", "w1"]
    assert made[2] == {"workflow": "other", "step": "other", "state": "failed"}


def test_each_combination_of_labels_has_a_limit_of_its_own() -> None:
    limit = LabelLimit(1)

    assert limit.bounded({"workflow": "w", "step": "s"}) == {"workflow": "w", "step": "s"}
    assert limit.bounded({"workflow": "v"}) == {"workflow": "v"}
    assert limit.bounded({"name": "run.started"}) == {"name": "run.started"}


def test_ten_thousand_workflows_make_a_bounded_number_of_series(page_after: Callable[..., Page]) -> None:
    events = [an_event("run.started", workflow=f"w{number}") for number in range(10_000)]
    page = page_after(*events)

    assert len(page.families["wfe_runs"].samples) == 1_001
    assert page.value("wfe_runs_total", namespace="other", workflow="other", state="running") == 9_000


@pytest.mark.slow
def test_as_many_steps_as_have_names_keep_every_state(page_after: Callable[..., Page]) -> None:
    """OpenTelemetry has a limit of its own, which is lower than their product."""
    page = page_after(*(an_event(name, step=f"s{number}") for number in range(1_100) for name in STEP_STATE_AFTER))

    ways = Counter(str(state) for state in STEP_STATE_AFTER.values())
    assert page.value("wfe_steps_total", **OF_THE_RUN, step="s999", state="succeeded") == ways["succeeded"]
    assert (
        page.value("wfe_steps_total", **dict.fromkeys(OF_THE_STEP, "other"), state="succeeded")
        == 100 * ways["succeeded"]
    )
    assert not any("overflow" in label for each in page.families["wfe_steps"].samples for label in each.labels)


def test_closed_labels_have_fewer_values_than_is_allowed_for() -> None:
    assert max(len(RunState), len(StepState)) <= CLOSED_SETS


def test_no_run_is_named_in_a_label(page_after: Callable[..., Page]) -> None:
    events = [an_event(name) for name in CATALOGUE]
    page = page_after(*events)

    ids = {str(value) for event in events for value in (event.run_id, event.event_id, event.correlation_id)}
    values = {value for each in page.families.values() for sample in each.samples for value in sample.labels.values()}
    assert not ids & values


# The port


def answer(url: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(url, timeout=10) as response:
            return response.status, response.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


def test_the_port_answers_that_it_is_alive_and_what_else_it_has(metrics: Metrics) -> None:
    root = metrics.serve("127.0.0.1", 0).url.removesuffix("/metrics")

    assert answer(f"{root}/health/live") == (200, "alive\n")
    assert answer(f"{root}/metrics")[0] == 200
    assert answer(f"{root}/") == (404, "there are /metrics and /health/live\n")


def test_a_taken_port_is_told_by_its_number(metrics: Metrics) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]

        with pytest.raises(ConfigurationError, match=f"WFE_METRICS_PORT: port {port} of 127.0.0.1 is in use"):
            metrics.serve("127.0.0.1", port)


def test_a_host_that_is_not_ours_is_told_by_its_name(metrics: Metrics) -> None:
    with pytest.raises(ConfigurationError, match=r"cannot listen on port 0 of 192\.0\.2\.1"):
        metrics.serve("192.0.2.1", 0)


def test_a_closed_port_is_free_again() -> None:
    first = Metrics()
    port = int(first.serve("127.0.0.1", 0).url.split(":")[2].removesuffix("/metrics"))
    first.close()

    second = Metrics()
    assert second.serve("127.0.0.1", port).url == f"http://127.0.0.1:{port}/metrics"
    second.close()


def test_a_forked_child_does_not_keep_the_port() -> None:
    """The parent's listening socket must be gone in the child: else the port outlives its process."""
    program = """
import os, socket
from workflow_engine.metrics.meter import Metrics
metrics = Metrics()
port = int(metrics.serve("127.0.0.1", 0).url.split(":")[2].removesuffix("/metrics"))
release, wait = os.pipe()
begun, say_begun = os.pipe()
child = os.fork()
if child == 0:
    os.write(say_begun, b"x")
    os.close(wait)
    os.read(release, 1)
    os._exit(0)
os.read(begun, 1)  # by then the child has closed what it does not keep
metrics.close()
with socket.socket() as again:
    again.bind(("127.0.0.1", port))
    again.listen()
os.write(wait, b"x")
os.waitpid(child, 0)
"""
    done = subprocess.run(
        [sys.executable, "-W", "ignore::DeprecationWarning", "-c", program], capture_output=True, text=True, check=False
    )

    assert (done.returncode, done.stderr) == (0, "")


# Whether at all


@pytest.mark.parametrize(
    ("variables", "wanted"),
    [
        ({}, False),
        ({"OTEL_METRICS_EXPORTER": "otlp"}, True),
        ({"OTEL_METRICS_EXPORTER": "console, otlp"}, True),
        ({"OTEL_METRICS_EXPORTER": "prometheus"}, False),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4318"}, True),
        ({"OTEL_EXPORTER_OTLP_METRICS_ENDPOINT": "http://127.0.0.1:4318/v1/metrics"}, True),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://127.0.0.1:4318/v1/traces"}, False),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4318", "OTEL_METRICS_EXPORTER": "none"}, False),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4318", "OTEL_SDK_DISABLED": "true"}, False),
    ],
)
def test_metrics_are_pushed_where_the_standard_variables_ask_for_it(variables: dict[str, str], wanted: bool) -> None:
    assert wants_otlp(variables) is wanted


def test_a_protocol_that_is_none_is_told_by_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_PROTOCOL", "http/jason")

    with pytest.raises(ConfigurationError, match="'http/jason': it must be one of http/protobuf, grpc"):
        otlp_reader()


def test_a_protocol_that_is_not_installed_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_METRICS_PROTOCOL", "grpc")
    monkeypatch.setitem(sys.modules, "opentelemetry.exporter.otlp.proto.grpc.metric_exporter", None)

    with pytest.raises(ConfigurationError, match="pip install opentelemetry-exporter-otlp-proto-grpc"):
        otlp_reader()


def test_nobody_asking_for_metrics_means_none(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("OTEL_")]:
        monkeypatch.delenv(name)

    assert not metrics_are_wanted(None)
    assert metrics_are_wanted(0)
    assert open_metrics(host="127.0.0.1", port=None) is None


def test_without_metrics_no_thread_runs_and_neither_sdk_nor_prometheus_is_imported() -> None:
    program = """
import sys, threading
from workflow_engine import Engine, Settings
from workflow_engine.celery_app import worker_metrics
engine = Engine(Settings(database_url="postgresql://nobody@127.0.0.1:1/none", broker_url="redis://127.0.0.1:1/0"))
engine.coordinator(), engine.relay()
assert engine.metrics is None and not [each for each in engine.subscribers if each.name == "metrics"]
loaded = [name for name in sys.modules if name.startswith(("opentelemetry.sdk.metrics", "prometheus_client"))]
assert not loaded, loaded
assert threading.active_count() == 1, threading.enumerate()
"""
    quiet = {name: value for name, value in os.environ.items() if not name.startswith("OTEL_")}
    done = subprocess.run([sys.executable, "-c", program], env=quiet, capture_output=True, text=True, check=False)

    assert (done.returncode, done.stderr) == (0, "")


# Answers that are kept


def test_an_answer_is_asked_for_again_only_when_it_is_old() -> None:
    moments = iter([0.0, KEPT_SECONDS - 0.1, KEPT_SECONDS, KEPT_SECONDS + 1])
    answers = iter("abc")
    kept = Kept(lambda: next(answers), lambda: next(moments))

    assert [kept(), kept(), kept()] == ["a", "a", "b"]

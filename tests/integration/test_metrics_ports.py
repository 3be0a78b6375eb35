"""The ports of real workers, coordinators and relays: what they show after runs, and what a taken port does."""

import gzip
import os
import re
import signal
import socket
import sys
import tempfile
import urllib.request
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest

from tests.acceptance.flows import diamond, gated
from tests.fixtures.database import new_database
from tests.support.processes import QUICK, ROOT, Stage, WorkerProcess, stage, wait_until
from tests.support.scraping import Page, scrape
from tests.support.wires import wire_to
from workflow_engine import RunHandle
from workflow_engine.embedded.processes import ChildProcess, Program
from workflow_engine.store import migration

RUNS = 3
STEPS = 4
"""Of a diamond."""
OF_DIAMONDS = {"namespace": "default", "workflow": "diamond"}


class Process:
    """A command of ``wfe`` on a stage's servers, with the metrics port that the test wants."""

    def __init__(self, place: Stage, *arguments: str, **variables: str) -> None:
        self._log = place.folder / f"{arguments[0]}-{len(list(place.folder.glob('*.log')))}.log"
        self._process = ChildProcess(
            Program(
                argv=[sys.executable, "-m", "workflow_engine.cli.main", *arguments],
                env={**os.environ, **place.environment(), "WFE_METRICS_PORT": "0", **variables},
                log=self._log,
                cwd=ROOT,
            )
        )

    @property
    def log(self) -> str:
        return self._log.read_text()

    def url(self) -> str:
        """Where its metrics are, once it says so."""
        return wait_for_url(lambda: self.log)

    def wait_until_running(self) -> None:
        wait_until(lambda: "running: " in self.log, within=60, why="it runs")

    def ending(self) -> int:
        """Return its exit code, once it has ended by itself."""
        code = self._process.wait(60)
        assert code is not None, self.log
        return code

    def stop(self) -> None:
        self._process.stop([(signal.SIGTERM, 15.0)])


def wait_for_url(log: Callable[[], str]) -> str:
    found = wait_until(lambda: re.search(r"metrics: (http://\S+/metrics)", log()), within=60, why="its port is known")
    return found[1]


def worker_url(worker: WorkerProcess) -> str:
    return wait_for_url(worker.log.read_text)


def once(url: str, condition: Callable[[Page], Any], why: str) -> Page:
    """Return a page of which the condition holds; the gauges of a database may be some seconds old."""
    kept: list[Page] = []

    def holds() -> bool:
        kept[:] = [scrape(url)]
        return bool(condition(kept[0]))

    wait_until(holds, within=30, why=why)
    return kept[0]


@pytest.fixture
def place(postgres_url: str, broker_url: str) -> Iterator[Stage]:
    """A database, a broker and nothing else."""
    with tempfile.TemporaryDirectory(prefix="wfe-metrics-") as folder, new_database(postgres_url) as url:
        migration.upgrade(url)
        with stage(Path(folder), url, broker_url, **QUICK) as made:
            yield made


@pytest.fixture
def start(place: Stage) -> Iterator[Callable[..., Process]]:
    """Start commands; what still runs at the end of the test is stopped."""
    started: list[Process] = []

    def begin(*arguments: str, **variables: str) -> Process:
        started.append(Process(place, *arguments, **variables))
        return started[-1]

    yield begin
    for process in started:
        process.stop()


def finish_diamonds(place: Stage, number: int = RUNS) -> None:
    for run in [place.submit(diamond, {"n": 1}) for _ in range(number)]:
        run.wait(timeout=30)


def test_a_relay_shows_exactly_what_happened(place: Stage, start: Callable[..., Process]) -> None:
    relay = start("relay")
    relay.wait_until_running()
    wait_until(lambda: place.rows("SELECT FROM cursors WHERE subscriber = 'metrics'"), why="the relay has its cursor")
    place.start_worker()

    finish_diamonds(place)
    page = once(
        relay.url(),
        lambda page: page.value("wfe_runs_total", **OF_DIAMONDS, state="succeeded") == RUNS,
        "every run is counted",
    )

    assert {state: page.value("wfe_runs_total", **OF_DIAMONDS, state=state) for state in ("pending", "running")} == {
        "pending": RUNS,
        "running": RUNS,
    }
    for state in ("dispatched", "running", "succeeded"):
        assert page.total("wfe_steps_total", state=state) == RUNS * STEPS
        assert page.value("wfe_steps_total", **OF_DIAMONDS, step="bottom", state=state) == RUNS
    assert page.total("wfe_step_duration_seconds_count", state="succeeded") == RUNS * STEPS
    assert page.total("wfe_step_queue_wait_seconds_count") == RUNS * STEPS
    assert page.total("wfe_step_dispatch_latency_seconds_count") == RUNS * STEPS
    assert page.value("wfe_run_duration_seconds_count", **OF_DIAMONDS, state="succeeded") == RUNS
    logged = place.rows("SELECT name, count(*) AS number FROM events GROUP BY name")
    assert page.values("wfe_events_total", "name") == {row.name: row.number for row in logged}


def test_a_relay_shows_how_far_its_subscribers_are(place: Stage, start: Callable[..., Process]) -> None:
    relay = start("relay")
    relay.wait_until_running()
    wait_until(lambda: place.rows("SELECT FROM cursors WHERE subscriber = 'metrics'"), why="the relay has its cursor")
    place.submit(diamond, {"n": 1})
    written = len(place.rows("SELECT FROM events"))

    page = once(
        relay.url(),
        lambda page: (
            page.value("wfe_relay_delivered_total", subscriber="metrics") == written
            and page.value("wfe_relay_lag_events", subscriber="metrics") == 0  # the cursor is moved after a delivery
        ),
        "everything is delivered",
    )

    assert page.value("wfe_relay_failed_total", subscriber="metrics") == 0
    assert page.value("wfe_dead_letters", subscriber="metrics") == 0
    assert page.value("wfe_relay_lag_seconds", subscriber="metrics") == 0


def test_a_coordinator_shows_what_waits_until_a_worker_has_done_it(place: Stage, start: Callable[..., Process]) -> None:
    coordinator = start("coordinator", WFE_STRANDED_SECONDS="3600")
    url = coordinator.url()
    for _ in range(RUNS):
        place.submit(diamond, {"n": 1})
    queue = place.settings.queue

    waiting = once(url, lambda page: page.value("wfe_queue_depth", queue=queue) == RUNS, "the queue is counted")
    assert waiting.value("wfe_unfinished_runs", state="pending") == RUNS
    assert waiting.value("wfe_unfinished_steps", state="dispatched") == RUNS
    assert waiting.value("wfe_unfinished_steps", state="waiting") == RUNS * (STEPS - 1)
    assert waiting.value("wfe_workers_alive") == 0
    assert waiting.value("wfe_oldest_ready_step_age_seconds") == 0
    assert waiting.value("wfe_database_up") == waiting.value("wfe_backlog_complete") == 1

    place.start_worker()
    done = once(url, lambda page: page.total("wfe_unfinished_runs") == 0, "all is done")
    assert done.value("wfe_queue_depth", queue=queue) == 0
    assert done.total("wfe_unfinished_steps") == 0
    assert done.value("wfe_workers_alive") == 1
    assert done.value("wfe_steps_resent_total") == 0


def test_a_coordinator_shows_its_circuits(place: Stage, start: Callable[..., Process]) -> None:
    with wire_to(place.broker_url) as wire:
        away = {"WFE_BROKER_URL": wire.url(place.broker_url), "WFE_CIRCUIT_FAILURES": "1"}
        coordinator = start("coordinator", **away)
        coordinator.wait_until_running()
        page = scrape(coordinator.url())
        assert page.values("wfe_circuit_state", "circuit") == {"broker": 0, "listener": 0, "event_bell": 0}
    run = place.submit(diamond, {"n": 1}, scheduled_at=datetime.now(UTC))  # the wire is gone: nobody is there

    page = once(
        coordinator.url(), lambda page: page.values("wfe_circuit_state", "circuit")["broker"] == 2, "it is open"
    )

    assert page.values("wfe_circuit_openings_total", "circuit")["broker"] >= 1
    assert run.state == "pending"


def test_a_coordinator_shows_that_messages_were_sent_again(place: Stage, start: Callable[..., Process]) -> None:
    coordinator = start("coordinator")
    url = coordinator.url()
    place.submit(diamond, {"n": 1})
    place.client.engine.app.control.purge()

    once(url, lambda page: (page.value("wfe_steps_resent_total") or 0) >= 1, "it was sent again")


@pytest.mark.parametrize("pool", ["prefork", "threads"])
def test_a_worker_shows_its_pool_and_its_tasks(place: Stage, pool: str) -> None:
    worker = place.start_worker("-P", pool, "-c3", WFE_METRICS_PORT="0")
    url = worker_url(worker)

    finish_diamonds(place)
    page = once(
        url,
        lambda page: page.value("wfe_worker_tasks_finished_total", kind="step") == RUNS * STEPS,
        "every task is finished",
    )

    assert page.value("wfe_worker_tasks_received_total", kind="step") == RUNS * STEPS
    assert page.value("wfe_worker_tasks_received_total", kind="other") == 0
    assert page.value("wfe_worker_steps_at_hand") == 0
    assert page.value("wfe_worker_pool_size") == 3
    assert page.value("wfe_worker_up", worker=worker.name) == 1
    age = page.value("wfe_worker_heartbeat_age_seconds")
    assert age is not None
    assert 0 <= age < 60
    with urllib.request.urlopen(url.replace("/metrics", "/health/live"), timeout=10) as answer:
        assert answer.read() == b"alive\n"


def replace_pool_process(place: Stage, run: RunHandle) -> int:
    """Kill the process that runs a step; return the one that takes its place, forked when the port was open."""
    place.start_coordinator()  # it sends lost steps again
    os.kill(place.wait_for_call(run, "hold").pid, signal.SIGKILL)
    return place.wait_for_call(run, "hold", attempt=2).pid


@pytest.mark.prefork
def test_a_killed_workers_port_is_free_though_a_pool_process_still_runs_a_step(place: Stage) -> None:
    worker = place.start_worker("-c1", WFE_METRICS_PORT="0")
    port = int(worker_url(worker).split(":")[2].removesuffix("/metrics"))
    remaining = replace_pool_process(place, place.submit(gated, {"gate": "never"}))

    os.kill(worker.pid, signal.SIGKILL)
    wait_until(lambda: not worker.is_alive(), why="the main process is gone")

    with socket.socket() as again:
        again.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        again.bind(("127.0.0.1", port))
        again.listen()
    os.kill(remaining, 0)


@pytest.mark.slow
def test_a_second_process_on_a_taken_port_says_so_and_ends(place: Stage, start: Callable[..., Process]) -> None:
    port = start("coordinator").url().split(":")[2].removesuffix("/metrics")

    for command in ("coordinator", "relay"):
        second = start(command, WFE_METRICS_PORT=port)
        assert second.ending() == 2
        taken = f"error: WFE_METRICS_PORT: port {port} of 127.0.0.1 is in use"
        assert second.log == f"{taken}; choose another, 0 for any free one, or none\n"


def test_a_worker_on_a_taken_port_warns_and_runs_steps(place: Stage) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        worker = place.start_worker(WFE_METRICS_PORT=str(port))

        finish_diamonds(place, 1)

    assert f"no metrics of this worker: WFE_METRICS_PORT: port {port} of 127.0.0.1 is in use" in worker.log.read_text()


def test_without_the_setting_a_worker_has_no_port(place: Stage) -> None:
    worker = place.start_worker("-c1")
    finish_diamonds(place, 1)

    assert "metrics" not in worker.log.read_text()


# Push


class Receiver:
    """Takes OTLP over HTTP and keeps the metrics; takes everything else as well, and keeps none of it."""

    def __init__(self) -> None:
        self.requests: list[ExportMetricsServiceRequest] = []
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._thread = Thread(target=self._server.serve_forever, args=[0.05], daemon=True)
        self._thread.start()
        self.endpoint = f"http://127.0.0.1:{self._server.server_address[1]}"

    def latest(self, name: str) -> float | None:
        """Return the sum of a metric's points as last pushed."""
        for request in reversed(self.requests):
            for metric in metrics_of(request):
                if metric.name == name:
                    return sum(
                        each.as_int or each.as_double for each in (*metric.sum.data_points, *metric.gauge.data_points)
                    )
        return None

    def instances(self) -> set[str]:
        """Return which processes have pushed."""
        return {
            attribute.value.string_value
            for request in self.requests
            for resource in request.resource_metrics
            for attribute in resource.resource.attributes
            if attribute.key == "service.instance.id"
        }

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        requests = self.requests

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if self.headers.get("Content-Encoding") == "gzip":
                    body = gzip.decompress(body)
                if self.path == "/v1/metrics":
                    requests.append(ExportMetricsServiceRequest.FromString(body))
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        return Handler


def metrics_of(request: ExportMetricsServiceRequest) -> Iterator[Any]:
    for resource in request.resource_metrics:
        for scope in resource.scope_metrics:
            yield from scope.metrics


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    receiver = Receiver()
    yield receiver
    receiver.close()


def otlp(receiver: Receiver) -> dict[str, str]:
    return {
        "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT": f"{receiver.endpoint}/v1/metrics",
        "OTEL_METRIC_EXPORT_INTERVAL": "200",
    }


@pytest.mark.slow
def test_the_same_instruments_are_pushed_where_otlp_is_asked_for(
    place: Stage, start: Callable[..., Process], receiver: Receiver
) -> None:
    relay = start("relay", **otlp(receiver))
    wait_until(lambda: place.rows("SELECT FROM cursors WHERE subscriber = 'metrics'"), why="the relay has its cursor")
    place.submit(diamond, {"n": 1})
    shown = once(relay.url(), lambda page: page.total("wfe_events_total"), "events are counted").total(
        "wfe_events_total"
    )

    wait_until(lambda: receiver.latest("wfe.events") == shown, why="the counter arrives")
    units = {metric.name: metric.unit for request in receiver.requests for metric in metrics_of(request)}
    assert units["wfe.step.dispatch_latency"] == "s"


@pytest.mark.slow
def test_a_worker_pushes_without_a_port_and_from_its_main_process_only(place: Stage, receiver: Receiver) -> None:
    place.start_worker("-c1", **otlp(receiver))
    run = place.submit(gated, {"gate": "open"})
    replace_pool_process(place, run)
    place.open_gate("open")
    run.wait(timeout=30)

    received, finished = "wfe.worker.tasks_received", "wfe.worker.tasks_finished"
    # The lost attempt, maybe its message again, the next attempt, and the step after it.
    wait_until(
        lambda: (receiver.latest(finished) or 0) >= 3 and receiver.latest(finished) == receiver.latest(received),
        why="the tasks are counted",
    )
    seen = len(receiver.requests)
    wait_until(lambda: len(receiver.requests) > seen + 3, why="more pushes")
    assert len(receiver.instances()) == 1


@pytest.mark.slow
def test_what_was_measured_last_is_pushed_at_the_end(place: Stage, receiver: Receiver) -> None:
    worker = place.start_worker("-c1", **{**otlp(receiver), "OTEL_METRIC_EXPORT_INTERVAL": "3600000"})
    finish_diamonds(place, 1)
    assert receiver.requests == []

    worker.stop()

    assert receiver.latest("wfe.worker.tasks_finished") == STEPS

"""The example subscribers, set up by the file that comes with them, while real workers run the example workflow."""

import json
import os
import signal
import sqlite3
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import pytest

from examples.order_fulfilment import orders
from tests.integration.cli.running import wfe
from tests.support.http_server import Answer, Asked, HttpServer, http_server
from tests.support.processes import ROOT, Stage, wait_until
from workflow_engine import RunHandle
from workflow_engine.embedded.processes import ChildProcess, Program
from workflow_engine.subscribers.signatures import signatures

SECRET = "of-both-sides-and-of-nobody-else"
StartRelay = Callable[..., ChildProcess]


@pytest.fixture
def stage(lonely_stage: Stage) -> Stage:
    """With a coordinator and a worker that runs the example."""
    lonely_stage.start_coordinator()
    lonely_stage.start_worker(app="tests.acceptance.shop_app")
    return lonely_stage


@pytest.fixture
def start_relay(tmp_path: Path, lonely_stage: Stage) -> Iterator[StartRelay]:
    """Start relay processes with the example file, each in a folder of the test's own."""
    started: list[ChildProcess] = []

    def start(**variables: str) -> ChildProcess:
        environment = {
            **os.environ,
            **lonely_stage.environment(),
            "WFE_SUBSCRIBERS_FILE": str(ROOT / "examples" / "subscribers.yaml"),
            "PYTHONPATH": str(ROOT),
            **variables,
        }
        argv = [sys.executable, "-m", "workers.relay"]
        log = tmp_path / "relay.log"
        started.append(ChildProcess(Program(argv=argv, env=environment, log=log, cwd=tmp_path)))
        wait_until(lambda: lonely_stage.rows("SELECT FROM cursors WHERE subscriber = 'webhook'"), within=40)
        return started[-1]

    yield start
    for relay in started:
        relay.sweep()
    print((tmp_path / "relay.log").read_text())


@pytest.fixture
def receiver() -> Iterator[HttpServer]:
    """Takes whatever comes."""
    with http_server() as made:
        made.answers = [Answer(status=204, body=b"")]
        yield made


def told(receiver: HttpServer) -> dict[str, str]:
    """Return the settings of a relay that posts to the receiver."""
    return {"WEBHOOK_URL": f"{receiver.url}/hook", "WEBHOOK_SECRET": SECRET}


def submit(stage: Stage, number: int, card: str, folder: Path) -> RunHandle:
    return stage.submit(orders, {"order_id": number, "card": card, "folder": str(folder)})


def names(asked: list[Asked]) -> list[str]:
    return [json.loads(each.body)["name"] for each in asked]


def test_a_receiver_gets_the_signed_events_of_a_run_in_order(
    stage: Stage, start_relay: StartRelay, receiver: HttpServer, tmp_path: Path
) -> None:
    """Its first answer is 500: that event comes again, before any later one of its run."""
    receiver.answers = [Answer(status=500), Answer(status=204, body=b"")]
    start_relay(**told(receiver))

    run = submit(stage, 1, "declined", tmp_path)
    wait_until(lambda: receiver.asked and names(receiver.asked)[-1] == "run.failed", within=40, why="all is sent")

    expected = ["run.submitted", "run.submitted", "run.started", "step.failed", "run.failed"]
    assert names(receiver.asked) == expected
    wanted = {event.id: event.position for event in run.events() if event.name in expected}
    bodies = [json.loads(each.body) for each in receiver.asked]
    assert {body["event_id"]: body["position"] for body in bodies} == wanted
    for each, body in zip(receiver.asked, bodies, strict=True):
        assert each.headers["webhook-id"] == body["event_id"]
        signed = signatures([SECRET.encode()], body["event_id"], each.headers["webhook-timestamp"], each.body)
        assert each.headers["webhook-signature"] == signed


@pytest.mark.slow
def test_what_a_receiver_refuses_three_times_is_a_dead_letter_and_is_sent_when_requeued(
    stage: Stage, start_relay: StartRelay, receiver: HttpServer, tmp_path: Path
) -> None:
    """There is one alert about it; the run's next events are not held up for ever."""
    no = Answer(status=500)
    receiver.answers = [no, no, no, Answer(status=204, body=b"")]
    start_relay(**told(receiver))

    run = submit(stage, 1, "good", tmp_path)
    wait_until(lambda: receiver.asked and names(receiver.asked)[-1] == "run.succeeded", within=40)

    assert names(receiver.asked) == ["run.submitted"] * 3 + ["run.started", "run.succeeded"]
    dead = stage.rows("SELECT event_name, tries FROM deliveries WHERE state = 'dead'")
    assert [(row.event_name, row.tries) for row in dead] == [("run.submitted", 3)]
    log = tmp_path / "relay.log"
    alert = "ALERT subscriber.dead_lettered of webhook: 1 or more"
    wait_until(lambda: alert in log.read_text(), why="somebody is told")
    assert log.read_text().count("ALERT") == 1

    urls = {"WFE_DATABASE_URL": stage.database_url, "WFE_BROKER_URL": stage.broker_url}
    assert wfe("dead-letters", "requeue", "--subscriber", "webhook", **urls).code == 0
    wait_until(lambda: len(receiver.asked) == 6, why="it is sent once more")
    assert [json.loads(each.body)["run_id"] for each in receiver.asked] == [run.id] * 6
    assert names(receiver.asked)[-1] == "run.submitted"


def test_feed_tally_and_alerts_agree_with_the_runs_though_the_relay_is_killed(
    stage: Stage, start_relay: StartRelay, tmp_path: Path
) -> None:
    relay = start_relay(WFE_RELAY_LEASE_SECONDS="1")
    runs = [submit(stage, number, card, tmp_path) for number, card in enumerate(["good", "declined"] * 2, start=1)]
    wait_until(lambda: feed(stage), why="the feed has begun")
    os.killpg(relay.pid, signal.SIGKILL)
    relay.sweep()
    runs += [submit(stage, number, "declined", tmp_path) for number in range(5, 9)]
    ended = {run.id: run.wait(timeout=30).state.value for run in runs}
    start_relay(WFE_RELAY_LEASE_SECONDS="1")

    wait_until(lambda: feed(stage) == ended, within=40, why="the table says what became of the runs")
    wait_until(lambda: sum(tally(tmp_path).values()) == len(runs), why="all are counted")
    assert tally(tmp_path) == {"succeeded": 2, "failed": 6}
    log = tmp_path / "relay.log"
    wait_until(lambda: "ALERT" in log.read_text(), why="there is an alert")
    assert log.read_text().count("ALERT run.failed of order_fulfilment: 3 or more") == 1


def feed(stage: Stage) -> dict[str, str]:
    """Return the states of runs as the example's table has them."""
    if stage.rows("SELECT to_regclass('shop.order_runs') AS there")[0].there is None:
        return {}
    return {str(row.run_id): row.state for row in stage.rows("SELECT run_id, state FROM shop.order_runs")}


def tally(folder: Path) -> dict[str, Any]:
    """Return how many runs ended in each state, as the example counted them."""
    with closing(sqlite3.connect(folder / "tally.sqlite")) as db, suppress(sqlite3.OperationalError):
        return dict(db.execute("SELECT state, number FROM tally WHERE step IS NULL").fetchall())
    return {}  # the relay has not made it yet

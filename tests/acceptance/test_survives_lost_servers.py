"""The broker and the database may go away and come back: every run accepted before, during or after ends."""

import os
import signal

import pytest
import redis

from tests.acceptance import flows
from tests.fixtures.stages import StageMaker
from tests.support.checker import check
from tests.support.processes import answering, event_names, states, wait_for_all, wait_until
from workflow_engine.embedded.broker import EmbeddedBroker
from workflow_engine.embedded.postgres import EmbeddedPostgres


def kill(server: EmbeddedPostgres) -> None:
    """Crash a database and start it again."""
    assert server.pid is not None
    os.kill(server.pid, signal.SIGQUIT)  # "immediate": what a crash does, and the backends go too
    wait_until(lambda: not server.is_running(), why="the server has crashed")
    server.start()


@pytest.mark.slow
def test_a_flushed_broker_loses_no_run(new_stage: StageMaker, own_broker: EmbeddedBroker) -> None:
    with new_stage(broker=own_broker.url) as stage, redis.Redis.from_url(own_broker.url) as broker:
        stage.start_coordinator()
        stage.start_worker("-c2")
        runs = stage.client.submit_many(flows.paced, [None] * 30)

        for calls in (8, 30, 60):
            wait_until(lambda calls=calls: len(stage.traced()) >= calls)
            broker.flushall()

        assert wait_for_all(runs) == ["succeeded"] * 30
        check(stage)


def test_a_run_is_accepted_while_the_broker_is_away_and_starts_when_it_is_back(
    new_stage: StageMaker, own_broker: EmbeddedBroker
) -> None:
    with new_stage(broker=own_broker.url) as stage:
        stage.start_coordinator()
        stage.start_worker("-c2")
        early = stage.submit(flows.gated, {"gate": "early"})
        stage.wait_for_call(early, "hold")

        own_broker.stop()
        late = stage.submit(flows.diamond, {"n": 1})

        assert states(late)["top"] in {"ready", "dispatched"}  # the coordinator may just be trying again
        assert "step.released" in event_names(late)
        stage.open_gate("early")
        wait_until(lambda: states(early)["hold"] == "succeeded", why="a commit needs no broker")

        own_broker.start()
        assert wait_for_all([early, late]) == ["succeeded"] * 2
        check(stage)


@pytest.mark.slow
def test_a_restarted_database_loses_no_run(
    new_stage: StageMaker, own_broker: EmbeddedBroker, own_database: EmbeddedPostgres
) -> None:
    with new_stage(broker=own_broker.url, database=own_database.url) as stage:
        stage.start_coordinator()
        stage.start_worker("-c2")
        runs = stage.client.submit_many(flows.paced, [None] * 25)

        for calls in (10, 50):
            wait_until(lambda calls=calls: len(stage.traced()) >= calls)
            own_database.stop()
            own_database.start()

        assert wait_for_all(answering(runs)) == ["succeeded"] * 25
        check(stage)


def test_no_message_is_acknowledged_before_its_commit(
    new_stage: StageMaker, own_broker: EmbeddedBroker, own_database: EmbeddedPostgres
) -> None:
    with (
        new_stage(broker=own_broker.url, database=own_database.url) as stage,
        redis.Redis.from_url(own_broker.url) as broker,
    ):
        worker = stage.start_worker("-c1")
        run = stage.submit(flows.deaf, {"gate": "go"})
        stage.wait_for_call(run, "ignore")

        own_database.stop()
        stage.open_gate("go")
        wait_until(lambda: "for PostgreSQL" in worker.log.read_text(), why="the worker waits to commit")
        assert broker.hlen("unacked") == 1

        own_database.start()
        assert wait_for_all(answering([run])) == ["succeeded"]
        wait_until(lambda: broker.hlen("unacked") == 0, why="now it is acknowledged")
        check(stage)


def test_a_heartbeat_does_not_fail_a_step_because_the_database_is_away(
    new_stage: StageMaker, own_broker: EmbeddedBroker, own_database: EmbeddedPostgres
) -> None:
    with new_stage(broker=own_broker.url, database=own_database.url) as stage:
        worker = stage.start_worker("-c1")
        run = stage.submit(flows.gated, {"gate": "go"})
        stage.wait_for_call(run, "hold")

        own_database.stop()
        wait_until(lambda: "cannot ask" in worker.log.read_text(), why="the handler's heartbeat went unanswered")
        own_database.start()
        stage.open_gate("go")

        assert wait_for_all(answering([run])) == ["succeeded"]
        assert event_names(run, "step.failed", "step.lost") == []
        check(stage)


@pytest.mark.slow
def test_a_killed_database_loses_no_run(
    new_stage: StageMaker, own_broker: EmbeddedBroker, own_database: EmbeddedPostgres
) -> None:
    with new_stage(broker=own_broker.url, database=own_database.url) as stage:
        stage.start_coordinator()
        stage.start_worker("-c3")
        runs = stage.client.submit_many(flows.paced, [None] * 100)

        for calls in (20, 100, 200):
            wait_until(lambda calls=calls: len(stage.traced()) >= calls, within=60)
            kill(own_database)

        assert wait_for_all(answering(runs), within=90) == ["succeeded"] * 100
        check(stage, claims_may_be_lost=True)

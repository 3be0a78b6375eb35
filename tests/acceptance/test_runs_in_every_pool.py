"""Threads and greenlets run steps as processes do, and RabbitMQ carries them as Redis does."""

from datetime import timedelta
from itertools import pairwise
from types import SimpleNamespace

import pytest
from kombu import Connection, Queue

from tests.acceptance import flows
from tests.fixtures.stages import StageMaker
from tests.support.processes import Stage, event_names, wait_for_all
from workflow_engine.celery_app.app import create_app
from workflow_engine.celery_app.task_events import PromptReading


@pytest.mark.slow
@pytest.mark.parametrize("pool", ["threads", "gevent"])
def test_a_pool_without_processes_runs_a_mix_of_fifty(lonely_stage: Stage, pool: str) -> None:
    stage = lonely_stage
    stage.start_coordinator()
    stage.start_worker("--pool", pool, "-c8")

    good = stage.client.submit_many(flows.diamond, [{"n": number} for number in range(30)])
    shaky = stage.client.submit_many(flows.flaky, [{"failures": number % 3} for number in range(15)])
    bad = stage.client.submit_many(flows.deadly, [{"how": "exit"}, {"how": "memory"}] * 2)
    cancelled = stage.submit(flows.gated, {"gate": "never opened"})
    stage.wait_for_call(cancelled, "hold")
    cancelled.cancel()

    assert wait_for_all(good) == ["succeeded"] * 30
    assert wait_for_all(shaky) == ["succeeded"] * 15
    assert wait_for_all(bad) == ["failed"] * 4
    assert wait_for_all([cancelled]) == ["cancelled"]
    assert [run.result["bottom"]["right"] for run in good] == [2 * number for number in range(30)]
    assert count_pauses(stage) <= 1, "a full pool must take the next step at once"  # one may be the machine's


def count_pauses(stage: Stage) -> int:
    """Return how often no step started for more than a second and a half."""
    rows = stage.rows("SELECT occurred_at FROM events WHERE name = 'step.started' ORDER BY 1")
    pauses = [later.occurred_at - earlier.occurred_at for earlier, later in pairwise(rows)]
    return sum(pause > timedelta(seconds=1.5) for pause in pauses)


def test_the_solo_pool_runs_a_graph(lonely_stage: Stage) -> None:
    lonely_stage.start_worker("--pool", "solo")

    assert lonely_stage.submit(flows.lattice).wait(timeout=20).result == flows.LATTICE_RESULT


@pytest.mark.prefork
@pytest.mark.rabbitmq
def test_rabbitmq_carries_graphs_priorities_and_kills(rabbitmq_stage: Stage) -> None:
    stage = rabbitmq_stage
    stage.start_coordinator()
    doomed = stage.start_worker("-c2")
    held = stage.client.submit_many(flows.gated, [{"gate": "rabbit"}] * 2)
    stage.wait_for_call(held[0], "hold")
    stage.wait_for_call(held[1], "hold")
    heir = stage.start_worker("-c2")

    graphs = [stage.submit(flows.diamond, {"n": number}, priority="high") for number in range(10)]
    killed = stage.submit(flows.deadly, {"how": "kill"})
    assert wait_for_all([*graphs, killed]) == ["succeeded"] * 11
    doomed.kill()
    stage.open_gate("rabbit")

    assert wait_for_all(held) == ["succeeded"] * 2
    assert heir.is_alive()
    assert event_names(killed, "step.lost") == ["step.lost"]


@pytest.mark.rabbitmq
@pytest.mark.parametrize("existing", [False, True], ids=["a queue of ours", "one declared by others"])
def test_a_queue_of_rabbitmq_has_priorities_unless_others_have_made_it(rabbitmq_stage: Stage, existing: bool) -> None:
    stage = rabbitmq_stage
    if existing:
        with Connection(stage.broker_url) as connection:
            Queue(stage.settings.queue).bind(connection.default_channel).declare()
    low, critical = [stage.submit(flows.diamond, {"n": 1}, priority=priority) for priority in ("low", "critical")]

    stage.start_worker("-c1")

    assert wait_for_all([low, critical]) == ["succeeded"] * 2
    assert stage.traced(step="top")[0].run_id == (low if existing else critical).id


@pytest.mark.rabbitmq
def test_nobody_waits_until_rabbitmq_has_confirmed_an_event(rabbitmq_url: str) -> None:
    app = create_app(rabbitmq_url, "postgresql://nobody@127.0.0.1:1/none", "none")

    with app.connection_for_write() as one, app.connection_for_write() as other, app.events.Dispatcher(one) as events:
        channels = [events.producer.channel, other.default_channel]
        names = [channel.basic_publish.__name__ for channel in channels]

    assert names == ["_basic_publish", "basic_publish_confirm"]


@pytest.mark.rabbitmq
def test_nobody_waits_for_rabbitmq_to_say_something_about_events(rabbitmq_url: str) -> None:
    app = create_app(rabbitmq_url, "postgresql://nobody@127.0.0.1:1/none", "none")

    with app.connection_for_write() as connection, app.events.Dispatcher(connection) as events:
        PromptReading(None).start(SimpleNamespace(event_dispatcher=events))
        events.send("worker-heartbeat")

        with pytest.raises(TimeoutError):
            connection.drain_events(timeout=600)  # which is longer than a test may take


@pytest.mark.rabbitmq
def test_a_gevent_worker_takes_no_pause_between_the_messages_of_rabbitmq(rabbitmq_stage: Stage) -> None:
    stage = rabbitmq_stage
    stage.start_worker("--pool", "gevent")

    runs = stage.client.submit_many(flows.diamond, [{"n": number} for number in range(10)])
    assert wait_for_all(runs) == ["succeeded"] * 10

    starts = stage.rows("SELECT occurred_at FROM events WHERE name = 'step.started' ORDER BY 1")
    gaps = sorted(later.occurred_at - earlier.occurred_at for earlier, later in pairwise(starts))
    assert gaps[len(gaps) // 4] < timedelta(milliseconds=50), "Celery would read where nothing comes for 100 ms"


@pytest.mark.rabbitmq
def test_without_priorities_a_queue_of_rabbitmq_is_declared_as_other_apps_do(
    new_stage: StageMaker, rabbitmq_url: str
) -> None:
    with new_stage(broker=rabbitmq_url, queue_priorities=False) as stage, Connection(rabbitmq_url) as connection:
        stage.submit(flows.diamond, {"n": 1})

        Queue(stage.settings.queue).bind(connection.default_channel).declare()  # refused, were it with other arguments


@pytest.mark.rabbitmq
def test_a_queue_that_rabbitmq_no_longer_has_loses_no_run(rabbitmq_stage: Stage) -> None:
    stage = rabbitmq_stage
    stage.start_coordinator()
    run = stage.submit(flows.diamond, {"n": 1})
    with Connection(stage.broker_url) as connection:
        connection.default_channel.queue_delete(stage.settings.queue)

    stage.start_worker("-c1")

    assert run.wait(timeout=20).state == "succeeded"

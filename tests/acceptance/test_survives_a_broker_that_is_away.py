"""A broker that is killed, or says nothing any more: runs are accepted, nothing churns, and all goes on by itself."""

import os
import signal
from time import monotonic

import pytest

from tests.acceptance import flows
from tests.fixtures.stages import StageMaker
from tests.support.checker import check
from tests.support.processes import Stage, states, wait_for_all, wait_until
from tests.support.wires import wire_to
from workflow_engine.embedded.broker import EmbeddedBroker
from workflow_engine.engine.circuit_breaker import CircuitBreaker, CircuitState

SOON = {"circuit_open_seconds": 0.2, "circuit_longest_seconds": 1.0}


def kill(server: EmbeddedBroker) -> None:
    assert server.pid is not None
    os.kill(server.pid, signal.SIGKILL)
    wait_until(lambda: not server.is_running(), why="the broker is gone")


def circuit_of(stage: Stage) -> CircuitBreaker:
    """Return the circuit of the stage's coordinator, which is in this process."""
    return stage._engines[0].dispatcher.circuit


def hand_outs(stage: Stage) -> int:
    """Return how often steps were dispatched, or taken back."""
    (row,) = stage.rows("SELECT count(*) AS n FROM events WHERE name IN ('step.dispatched', 'step.released')")
    return int(row.n)


def wait_for_probes(circuit: CircuitBreaker, number: int) -> None:
    before = circuit.openings
    wait_until(lambda: circuit.openings >= before + number, why="the broker was asked, and did not answer")


def test_a_killed_broker_is_asked_seldom_and_its_return_is_noticed(
    new_stage: StageMaker, own_broker: EmbeddedBroker
) -> None:
    with new_stage(broker=own_broker.url, **SOON) as stage:
        stage.start_coordinator()
        stage.start_worker("-c2")
        early = stage.submit(flows.gated, {"gate": "early"})
        stage.wait_for_call(early, "hold")
        kill(own_broker)

        started = monotonic()
        late = [stage.submit(flows.diamond, {"n": number}) for number in range(30)]
        assert monotonic() - started < 10, "30 submits"
        assert stage.client.engine.dispatcher.circuit.openings >= 1
        circuit = circuit_of(stage)
        wait_until(lambda: circuit.state is CircuitState.OPEN, why="the coordinator has tried, too")
        wait_until(lambda: {states(run)["top"] for run in late} == {"ready"}, why="nothing is under way any more")

        before = hand_outs(stage)
        wait_for_probes(circuit, 3)
        assert hand_outs(stage) == before, "steps stay ready"
        assert stage.rows("SELECT FROM steps WHERE state = 'dispatched'") == []
        stage.open_gate("early")
        wait_until(lambda: states(early)["hold"] == "succeeded", why="a commit needs no broker")
        own_broker.start()

        assert wait_for_all([early, *late]) == ["succeeded"] * 31
        wait_until(lambda: circuit.is_calm, why="the circuit is closed again")
        check(stage)


@pytest.mark.slow
@pytest.mark.parametrize("broker", ["broker_url", pytest.param("rabbitmq_url", marks=pytest.mark.rabbitmq)])
def test_a_broker_that_says_nothing_any_more_does_not_keep_submits_waiting(
    new_stage: StageMaker, request: pytest.FixtureRequest, broker: str
) -> None:
    target = str(request.getfixturevalue(broker))
    with wire_to(target) as wire, new_stage(broker=wire.url(target), circuit_failures=1, **SOON) as stage:
        stage.start_coordinator()
        stage.start_worker("-c1", WFE_BROKER_URL=target)
        assert stage.submit(flows.single, {"n": 0}).wait(timeout=20).state == "succeeded"
        wire.cut()

        waits, runs = [], []
        for number in range(20):
            started = monotonic()
            runs.append(stage.submit(flows.single, {"n": number}))
            waits.append(monotonic() - started)
        assert sum(wait > 1 for wait in waits) <= 3, waits
        assert max(waits) < 6, waits
        circuit = circuit_of(stage)
        wait_until(lambda: circuit.state is not CircuitState.CLOSED, why="the coordinator has tried, too")
        wire.mend()

        assert wait_for_all(runs) == ["succeeded"] * 20
        wait_until(lambda: circuit.is_calm, why="the circuit is closed again")
        check(stage)

"""A real Redis and a real RabbitMQ that accept connections and then say nothing: publishing gives up soon."""

from collections.abc import Iterator
from time import monotonic
from typing import Any
from uuid import uuid4

import pytest
from kombu import Connection

from tests.support.wires import Wire, wire_to
from workflow_engine.celery_app.app import create_app
from workflow_engine.celery_app.dispatcher import CeleryDispatcher
from workflow_engine.engine.circuit_breaker import CircuitBreaker, CircuitState
from workflow_engine.engine.dispatcher import Dispatch, NotDispatched
from workflow_engine.engine.guarded_dispatcher import GuardedDispatcher
from workflow_engine.ids import new_run_id

PATIENCE = 0.3
SOON = 2.0
"""Seconds: some patience, and a machine that has other things to do."""


@pytest.fixture(params=["redis", pytest.param("amqp", marks=pytest.mark.rabbitmq)])
def target(request: pytest.FixtureRequest) -> str:
    """The URL of a broker."""
    return str(request.getfixturevalue("broker_url" if request.param == "redis" else "rabbitmq_url"))


@pytest.fixture
def wire(target: str) -> Iterator[Wire]:
    """The wire to it."""
    with wire_to(target) as made:
        yield made


@pytest.fixture
def queue(target: str) -> Iterator[str]:
    """A queue that is gone after the test."""
    name = f"silent-{uuid4().hex[:8]}"
    yield name
    with Connection(target) as connection:
        connection.default_channel.queue_delete(name)


@pytest.fixture
def dispatcher(target: str, wire: Wire, queue: str) -> CeleryDispatcher:
    """Publishes through the wire."""
    app = create_app(wire.url(target), "postgresql://nobody@127.0.0.1:1/none", queue)
    return CeleryDispatcher(app, patience=PATIENCE)


def some(number: int) -> list[Dispatch]:
    about: dict[str, Any] = {"workflow": "w", "queue": None, "priority": 1, "timeout": None, "join": None}
    return [
        Dispatch(
            plan_id=1,
            run_id=new_run_id(),
            position=position,
            attempt=1,
            step=f"s{position}",
            join_position=None,
            **about,
        )
        for position in range(number)
    ]


def refused(dispatcher: CeleryDispatcher | GuardedDispatcher, number: int) -> float:
    """Dispatch in vain; return how long it took to know."""
    started = monotonic()
    steps = some(number)
    with pytest.raises(NotDispatched) as raised:
        dispatcher.dispatch(steps)
    assert list(raised.value.undelivered) == steps
    return monotonic() - started


def depth(target: str, queue: str) -> int:
    with Connection(target) as connection:
        return int(connection.default_channel.queue_declare(queue, passive=True).message_count)


def test_a_broker_that_never_answers_is_given_up_soon_also_for_many_steps(
    dispatcher: CeleryDispatcher, wire: Wire
) -> None:
    wire.cut()

    assert refused(dispatcher, 1) < SOON
    assert refused(dispatcher, 250) < SOON


@pytest.mark.parametrize("number", [1, 5])
def test_a_broker_that_falls_silent_is_given_up_soon_and_taken_up_again(
    dispatcher: CeleryDispatcher, wire: Wire, target: str, queue: str, number: int
) -> None:
    dispatcher.dispatch(some(number))
    assert depth(target, queue) == number

    wire.cut()
    assert refused(dispatcher, number) < SOON
    wire.mend()
    dispatcher.dispatch(some(number))

    assert depth(target, queue) >= 2 * number  # what was said into the dead wire may arrive late: it is claimed once


def test_an_open_circuit_does_not_even_connect(
    dispatcher: CeleryDispatcher, wire: Wire, target: str, queue: str
) -> None:
    guarded = GuardedDispatcher(dispatcher, CircuitBreaker("broker", failures=2))
    wire.cut()
    refused(guarded, 1)
    refused(guarded, 1)
    assert guarded.circuit.state is CircuitState.OPEN

    connected = wire.connections
    quickest = min(refused(guarded, 1) for _ in range(20))

    assert wire.connections == connected
    assert quickest < PATIENCE / 10

"""While the broker is away, ready steps stay as they are; when it is back, all of them are sent at once."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta

import pytest

from tests.support.recording import RecordingDispatcher, event_names, graph, states, submit
from workflow_engine.engine.broker_watch import BrokerWatch
from workflow_engine.engine.circuit_breaker import CircuitBreaker, CircuitState
from workflow_engine.engine.dispatcher import Dispatch
from workflow_engine.engine.guarded_dispatcher import GuardedDispatcher
from workflow_engine.engine.poller import FallbackPoller
from workflow_engine.engine.processor import Processor
from workflow_engine.engine.readiness import ReadinessService
from workflow_engine.errors import BrokerUnavailable
from workflow_engine.ids import RunId
from workflow_engine.model.commands import FireTimers
from workflow_engine.store.transaction import Store

NOW = timedelta()
WIDTH = 12


class Hand:
    """A clock that a test moves."""

    seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


class Broker(RecordingDispatcher):
    """May answer and yet take no messages."""

    def __init__(self) -> None:
        super().__init__()
        self.answers = True
        self.pings = 0
        self.asked: list[int] = []

    def dispatch(self, steps: Sequence[Dispatch]) -> None:
        self.asked.append(len(steps))
        super().dispatch(steps)

    def ping(self) -> None:
        self.pings += 1
        if not self.answers:
            raise BrokerUnavailable("nobody is there")


class Coordinator:
    """The parts of a coordinator that the broker's absence concerns."""

    def __init__(self, store: Store) -> None:
        self.store, self.broker, self.hand = store, Broker(), Hand()
        self.circuit = CircuitBreaker("broker", failures=1, open_for=timedelta(seconds=1), monotonic=self.hand)
        dispatcher = GuardedDispatcher(self.broker, self.circuit)
        self.processor = Processor(store, dispatcher, room=dispatcher.room)
        self.readiness = ReadinessService(self.processor)
        self.watch = BrokerWatch(self.processor, self.readiness, self.circuit, self.broker.ping)
        self.poller = FallbackPoller(
            store, self.readiness, every=timedelta(hours=1), age=NOW, batch=100, room=dispatcher.room
        )

    def lose_broker(self) -> None:
        """Let the circuit open."""
        self.broker.is_down, self.broker.answers = True, False
        self.circuit.failed("the broker is gone")

    def add_ready(self, number: int = WIDTH) -> RunId:
        """Submit a run whose steps somebody else is to dispatch; return when they are ready."""
        many = graph({f"s{position}": () for position in range(number)})
        return submit(self.processor, many, scheduled_at=datetime.now(UTC))


@pytest.fixture
def coordinator(store: Store) -> Coordinator:
    """A coordinator that a test drives by hand."""
    return Coordinator(store)


def test_while_the_circuit_is_open_nothing_that_is_ready_moves(
    coordinator: Coordinator, store: Store, count_statements: Callable[[], int]
) -> None:
    run_id = coordinator.add_ready()
    before = event_names(store, run_id)
    coordinator.lose_broker()

    for _ in range(5):
        coordinator.readiness.ask("step_ready", run_id)
        coordinator.readiness.run_once()
        coordinator.processor.execute(FireTimers(limit=100))
        coordinator.watch.run_once()
    count_statements()
    coordinator.poller.run_once()

    assert count_statements() == 0, "what is kept back is not overlooked"
    assert set(states(store, run_id).values()) == {"ready"}
    assert event_names(store, run_id) == before
    assert (coordinator.broker.asked, coordinator.broker.pings) == ([], 0)


def test_a_broker_that_does_not_answer_is_not_sent_anything(coordinator: Coordinator, store: Store) -> None:
    run_id = coordinator.add_ready()
    before = event_names(store, run_id)
    coordinator.lose_broker()

    for seconds in (2, 3, 5):
        coordinator.hand.seconds += seconds
        pause = coordinator.watch.run_once()
        assert pause is not None
        assert pause > timedelta(seconds=0.4)

    assert (coordinator.broker.asked, coordinator.broker.pings) == ([], 3)
    assert coordinator.circuit.openings == 4
    assert event_names(store, run_id) == before


def test_a_broker_that_is_back_gets_one_step_and_then_all(coordinator: Coordinator, store: Store) -> None:
    run_id = coordinator.add_ready()
    coordinator.lose_broker()
    coordinator.processor.execute(FireTimers(limit=100))  # nothing is left that would fire later
    coordinator.broker.is_down, coordinator.broker.answers = False, True
    coordinator.hand.seconds += 2

    assert coordinator.watch.run_once() is None
    assert coordinator.broker.asked == [1]
    assert coordinator.circuit.is_calm
    coordinator.readiness.run_once()

    assert coordinator.broker.asked == [1, WIDTH - 1]
    assert set(states(store, run_id).values()) == {"dispatched"}
    assert sum(number for (name, _), number in event_names(store, run_id).items() if name == "step.released") == 0
    coordinator.watch.run_once()
    coordinator.readiness.run_once()
    assert coordinator.broker.asked == [1, WIDTH - 1], "and is left alone from then on"


def test_a_broker_that_answers_and_takes_nothing_costs_one_step_a_try(coordinator: Coordinator, store: Store) -> None:
    run_id = coordinator.add_ready()
    coordinator.lose_broker()
    coordinator.broker.answers = True

    for seconds in (2, 3):
        coordinator.hand.seconds += seconds
        assert coordinator.watch.run_once() is not None

    assert coordinator.broker.asked == [1, 1]
    assert coordinator.circuit.state is CircuitState.OPEN
    released = [name for name, _ in event_names(store, run_id).elements() if name == "step.released"]
    assert len(released) == 2


def test_without_a_step_to_try_the_answer_will_do(coordinator: Coordinator) -> None:
    coordinator.lose_broker()
    coordinator.broker.answers = True
    coordinator.hand.seconds += 2

    assert coordinator.watch.run_once() is None

    assert (coordinator.circuit.is_calm, coordinator.broker.pings, coordinator.broker.asked) == (True, 1, [])


def test_a_circuit_that_somebody_else_closed_lets_all_flow(coordinator: Coordinator, store: Store) -> None:
    run_id = coordinator.add_ready()
    coordinator.lose_broker()
    coordinator.watch.run_once()
    coordinator.broker.is_down, coordinator.broker.answers = False, True
    coordinator.circuit.succeeded()

    assert coordinator.watch.run_once() is None
    coordinator.readiness.run_once()

    assert coordinator.broker.pings == 0
    assert set(states(store, run_id).values()) == {"dispatched"}


def test_an_error_in_asking_does_not_keep_the_next_one_from_asking(
    coordinator: Coordinator, monkeypatch: pytest.MonkeyPatch
) -> None:
    coordinator.lose_broker()
    coordinator.hand.seconds += 2

    def broken() -> None:
        raise RuntimeError("no such transport")

    monkeypatch.setattr(coordinator.watch, "_ping", broken)
    with pytest.raises(RuntimeError, match="no such transport"):
        coordinator.watch.run_once()
    monkeypatch.undo()
    coordinator.broker.answers = True

    coordinator.watch.run_once()

    assert coordinator.circuit.is_calm

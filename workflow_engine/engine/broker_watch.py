"""BrokerWatch: asks a broker that was away whether it is back, and then has everything sent that waited."""

from collections.abc import Callable
from datetime import timedelta
from typing import Final

from workflow_engine.engine.circuit_breaker import CircuitBreaker, CircuitState
from workflow_engine.engine.processor import Processor
from workflow_engine.engine.readiness import ReadinessService
from workflow_engine.engine.service import Service
from workflow_engine.errors import BrokerUnavailable
from workflow_engine.model.commands import ProcessReadiness

TRIGGER: Final = "broker_back"
_ASLEEP: Final = timedelta(hours=1)


class BrokerWatch(Service):
    """Sleeps until the circuit opens; asks the broker whenever the circuit lets somebody ask.

    While the circuit is open, the coordinator leaves steps as ready as they are. A broker that answers is tried with
    one of them, as it may answer and yet take no messages (its memory is full, say); without any, the answer will do.
    """

    name = "broker watch"

    def __init__(
        self,
        processor: Processor,
        readiness: ReadinessService,
        circuit: CircuitBreaker,
        ping: Callable[[], None],
    ) -> None:
        """Ask with ``ping``, which raises ``BrokerUnavailable``; once ``circuit`` is closed, wake ``readiness``."""
        super().__init__(_ASLEEP)
        self._processor = processor
        self._readiness = readiness
        self._circuit = circuit
        self._ping = ping
        self._openings = circuit.openings
        circuit.watch(lambda _: self.wake())

    def run_once(self) -> timedelta | None:
        """Ask the broker, if it is time; have all sent that waited, if it is back."""
        circuit = self._circuit
        if circuit.state is not CircuitState.CLOSED and circuit.admit():
            self._probe()
        if circuit.state is not CircuitState.CLOSED:
            return circuit.wait()
        if self._openings != circuit.openings:
            self._openings = circuit.openings
            self._readiness.ask(TRIGGER)
        return None

    def _probe(self) -> None:
        try:
            self._ping()
        except BrokerUnavailable as error:
            self._circuit.failed(str(error))
            return
        finally:
            self._circuit.abandoned()  # if it is half-open: from here it is for a step, whoever sends it
        if self._processor.execute(ProcessReadiness(limit=1, triggered_by=TRIGGER)).number == 0:
            self._circuit.succeeded()

"""GuardedDispatcher: a dispatcher behind a circuit: a broker that is away is not asked again and again."""

from collections.abc import Sequence
from typing import Final

from workflow_engine.engine.circuit_breaker import CircuitBreaker, CircuitState
from workflow_engine.engine.dispatcher import Dispatch, Dispatcher, NotDispatched

BROKER: Final = "broker"
"""The circuit's name."""


class GuardedDispatcher:
    """Refuses at once while the circuit is open; sends one step first while it is half-open."""

    def __init__(self, dispatcher: Dispatcher, circuit: CircuitBreaker) -> None:
        """Send through ``dispatcher``."""
        self.circuit = circuit
        self._dispatcher = dispatcher

    def dispatch(self, steps: Sequence[Dispatch]) -> None:
        """Send each step once.

        Raises:
            NotDispatched: some were not sent; it names them, and when it is worth to try again.
        """
        circuit = self.circuit
        if circuit.is_calm:
            self._send(steps, steps)
            return
        if not circuit.admit():
            raise NotDispatched(steps, f"the circuit of the broker is {circuit.state}", circuit.wait())
        if circuit.state is CircuitState.HALF_OPEN:
            self._send(steps[:1], steps)
            circuit.succeeded()
            self._send(steps[1:], steps[1:])
        else:
            self._send(steps, steps)
        circuit.succeeded()

    def room(self) -> int | None:
        """Return how many steps it makes sense to take for sending now: as many as there are (None), one, or none."""
        return None if self.circuit.state is CircuitState.CLOSED else int(self.circuit.is_inviting)

    def is_idle(self, queue: str | None) -> bool:
        """Return whether nothing waits in a queue; False while the circuit is open, where it is not asked."""
        return self.circuit.state is CircuitState.CLOSED and self._dispatcher.is_idle(queue)

    def _send(self, some: Sequence[Dispatch], steps: Sequence[Dispatch]) -> None:
        """Send ``some`` of the ``steps``, which begin with them; what is not sent of either was not."""
        if not some:
            return
        try:
            self._dispatcher.dispatch(some)
        except NotDispatched as error:
            self.circuit.failed(error.reason)
            left = [*error.undelivered, *steps[len(some) :]]
            raise NotDispatched(left, error.reason, max(self.circuit.wait(), error.retry_in)) from error
        except BaseException:  # the broker refuses this queue, say: that is between the two, and no sign of its absence
            self.circuit.abandoned()
            raise

"""RelayGauges: how far this relay's subscribers are, and what it has delivered to them."""

from collections.abc import Callable, Sequence

from workflow_engine.metrics import instruments
from workflow_engine.metrics.instrument import Observed, Values
from workflow_engine.metrics.kept import Kept
from workflow_engine.relay.relay import SubscriberNumbers


class RelayGauges:
    """The gauges and counters of a relay, from its snapshot."""

    def __init__(self, snapshot: Callable[[], Sequence[SubscriberNumbers]]) -> None:
        """Read ``Relay.snapshot``, at most every few seconds."""
        self._snapshot = Kept(snapshot)

    @property
    def observed(self) -> Observed:
        """What answers for the instruments of a relay."""
        return {
            instruments.RELAY_LAG_EVENTS: self._each(lambda numbers: numbers.lag),
            instruments.RELAY_LAG: self._each(lambda numbers: numbers.lag_seconds),
            instruments.RELAY_DELIVERED: self._each(lambda numbers: numbers.delivered),
            instruments.RELAY_FAILED: self._each(lambda numbers: numbers.failed),
            instruments.DEAD_LETTERS: self._each(lambda numbers: numbers.dead_letters),
        }

    def _each(self, value: Callable[[SubscriberNumbers], float]) -> Callable[[], Values]:
        return lambda: [(value(numbers), {"subscriber": numbers.name}) for numbers in self._snapshot()]

"""The gauges of circuits: read when somebody asks."""

from collections.abc import Sequence

from workflow_engine.engine.circuit_breaker import CircuitBreaker
from workflow_engine.metrics import instruments
from workflow_engine.metrics.instrument import Observed


def circuit_gauges(circuits: Sequence[CircuitBreaker]) -> Observed:
    """Return what answers for the circuits of a process, which have different names."""
    return {
        instruments.CIRCUIT_STATE: lambda: [(each.state.level, {"circuit": each.name}) for each in circuits],
        instruments.CIRCUIT_OPENINGS: lambda: [(each.openings, {"circuit": each.name}) for each in circuits],
    }

"""What an instrument is: its name, kind, unit, labels and description."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

_SUFFIXES: Final = {"s": "_seconds", "1": ""}
WAITS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0, 60.0, 300.0, 3600.0)
"""Bounds of buckets for what should be a matter of milliseconds, in seconds."""


class Kind(StrEnum):
    """How an instrument's values are to be read."""

    COUNTER = "counter"
    """Only grows, from 0 at the start of its process."""
    GAUGE = "gauge"
    """Its value now."""
    HISTOGRAM = "histogram"
    """How many values were below each of some bounds, with their sum and number."""


class Source(StrEnum):
    """A kind of process that has a port."""

    RELAY = "relay"
    WORKER = "worker"
    COORDINATOR = "coordinator"
    API = "api"


@dataclass(frozen=True, slots=True, kw_only=True)
class Instrument:
    """One thing that is measured."""

    name: str
    """OpenTelemetry's: ``wfe.step.duration``."""
    kind: Kind
    sources: tuple[Source, ...]
    """Which processes measure it."""
    description: str
    labels: tuple[str, ...] = ()
    unit: str = "1"
    """UCUM: seconds (``s``), or a number (``1``)."""
    bounds: tuple[float, ...] = ()
    """Of a histogram's buckets."""

    @property
    def prometheus_name(self) -> str:
        """The name at the port: ``wfe_step_duration_seconds``; the exporter makes it by the same rule."""
        total = "_total" if self.kind is Kind.COUNTER else ""
        return self.name.replace(".", "_") + _SUFFIXES[self.unit] + total


Values = Iterable[tuple[float, Mapping[str, str]]]
"""What an instrument measures at a moment: values with their labels."""

Observed = Mapping[Instrument, Callable[[], Values]]
"""What answers, whenever somebody reads them, for gauges, and for counters that something else counts."""

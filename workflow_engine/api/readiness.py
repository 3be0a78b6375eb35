"""Readiness: what the probes said, asked again at most once a second however many want to know."""

from collections.abc import Callable, Mapping, Sequence
from threading import Lock
from time import monotonic
from typing import Final, Protocol

from anyio import CapacityLimiter

_KEPT_SECONDS: Final = 1.0


class Probe(Protocol):
    """Something without which the API can do nothing."""

    @property
    def name(self) -> str:
        """What it looks at: ``database``, ``migrations``, ``broker``."""

    @property
    def look(self) -> Callable[[], str | None]:
        """Returns what is wrong, for people; None if nothing is."""


class Readiness:
    """Looks through probes; anybody may ask, so that asking often must cost nothing."""

    def __init__(self, probes: Sequence[Probe]) -> None:
        """Look through ``probes``."""
        self._probes = probes
        self._lock = Lock()
        self._found: Mapping[str, str] | None = None
        self._looked_at = 0.0
        self.limiter = CapacityLimiter(2)
        """Of the threads that look; the others are for requests."""
        self.has_been = False
        """Whether nothing was wrong once."""

    def reasons(self) -> Mapping[str, str]:
        """Return what is wrong, by probe; empty if nothing is."""
        with self._lock:
            if self._found is None or monotonic() - self._looked_at >= _KEPT_SECONDS:
                looks = {probe.name: probe.look() for probe in self._probes}
                self._found = {name: reason for name, reason in looks.items() if reason is not None}
                self._looked_at = monotonic()
                self.has_been = self.has_been or not self._found
            return self._found

"""Parts: what the API is made of. Whoever serves it wires them, see ``wiring.py``."""

from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Protocol

from workflow_engine.client.client import WorkflowClient
from workflow_engine.config import Settings


class Probe(Protocol):
    """Something without which the API can do nothing."""

    @property
    def name(self) -> str:
        """What it looks at: ``database``, ``migrations``, ``broker``."""

    def look(self) -> str | None:
        """Return what is wrong, for people; None if nothing is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """What routes work with; they get it from ``dependencies.parts_of``."""

    settings: Settings
    client: WorkflowClient
    """Of the settings' namespace; ``client.in_namespace`` makes those of others."""
    probes: Sequence[Probe] = ()
    lives: Sequence[Callable[[], AbstractAsyncContextManager[None]]] = ()
    """What begins when the application starts and ends when it stops: hubs of streams, connections."""

"""Parts: what the API is made of. Whoever serves it wires them, see ``wiring.py``."""

from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from workflow_engine.api.readiness import Readiness
from workflow_engine.celery_app.flower import FlowerLinks
from workflow_engine.client.client import WorkflowClient
from workflow_engine.config import Settings
from workflow_engine.metrics.meter import Metrics

if TYPE_CHECKING:
    from workflow_engine.api.streams.live import Live


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """What routes work with; they get it from ``dependencies.parts_of``."""

    settings: Settings
    client: WorkflowClient
    """Of the settings' namespace; ``client.in_namespace`` makes those of others."""
    readiness: Readiness
    metrics: Metrics | None = None
    """What this process measures; None: nothing."""
    live: "Live | None" = None
    """Streams of events, where there are any."""
    flower: FlowerLinks | None = None
    """Where people find the runs' tasks."""
    lives: Sequence[Callable[[], AbstractAsyncContextManager[None]]] = ()
    """What begins when the application starts and ends when it stops: hubs of streams, connections."""

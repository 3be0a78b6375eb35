"""Who holds the steps that this process tree runs."""

import os
import uuid
from dataclasses import dataclass, field


@dataclass(slots=True)
class WorkerIdentity:
    """One worker: its main process makes it before it forks, and its pool processes inherit it."""

    id: str = field(default_factory=lambda: str(uuid.uuid4()))
    name: str = field(default_factory=lambda: f"process {os.getpid()}")
    pid: int = field(default_factory=os.getpid)
    pool: str | None = None
    """Celery's name of its pool, as ``WorkerFacts.pool``; None outside workers."""

"""Workers: what they say of themselves, and what is known of them."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerFacts:
    """What a worker says of itself with each heartbeat."""

    queues: Sequence[str] = ()
    """The queues it takes messages from now; they may change while it runs."""
    pool: str | None = None
    """Celery's name of its pool: ``prefork``, ``threads``, ``gevent``, ``eventlet``, ``solo``; else the class."""
    concurrency: int | None = None
    """How many tasks it runs at once."""
    workflows: Sequence[str] | None = None
    """What it has the steps of: ``namespace/workflow/version``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerRecord:
    """One worker, as it was last heard of."""

    id: str
    name: str
    """Celery's node name: ``name@host``."""
    pid: int
    queues: Sequence[str]
    pool: str | None
    concurrency: int | None
    started_at: datetime
    heartbeat_at: datetime
    silent_seconds: float
    """How long ago that was, by PostgreSQL's clock."""
    steps_held: int
    """Steps it runs."""
    release: str | None
    """Of this library; None if the worker is of an older release."""
    workflows: Sequence[str] | None
    """What it has the steps of: ``namespace/workflow/version``; None if the worker does not say."""
    clock_ahead: float | None
    """Seconds by which its host's clock is ahead of PostgreSQL's."""

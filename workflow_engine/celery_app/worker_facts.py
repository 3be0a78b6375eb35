"""What a Celery worker serves: its queues, the kind of its pool, how many tasks it runs at once."""

from collections.abc import Iterable
from typing import Any

from celery.concurrency import ALIASES

from workflow_engine.definitions.workflow import Workflow
from workflow_engine.model.workers import WorkerFacts


def facts_of(worker: Any, workflows: Iterable[Workflow]) -> WorkerFacts:
    """Return what a worker (Celery's ``WorkController``) serves now: queues and size may change while it runs."""
    return WorkerFacts(
        queues=sorted(worker.app.amqp.queues.consume_from),
        pool=pool_name(worker.pool_cls),
        concurrency=_pool_size(worker),
        workflows=sorted(f"{each.namespace}/{each.name}/{each.version}" for each in workflows),
    )


def pool_name(pool: type) -> str:
    """Return the name by which ``--pool`` asks for a pool, or the class if it has none."""
    path = f"{pool.__module__}:{pool.__qualname__}"
    return next((name for name, known in ALIASES.items() if known == path), path)


def _pool_size(worker: Any) -> int:
    try:
        return int(worker.pool.num_processes)
    except AttributeError:  # the pool has not started
        return int(worker.concurrency)

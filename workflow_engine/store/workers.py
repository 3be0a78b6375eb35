"""The heartbeats of workers."""

from typing import Any, Final

from psycopg import Connection

from workflow_engine.model.workers import WorkerFacts, WorkerRecord
from workflow_engine.store.statements import statement

_BEAT = statement("beat_worker")
_FORGET = statement("forget_worker")
_PAGE = statement("page_workers")

_UNSAID: Final = WorkerFacts()


class Workers:
    """The ``workers`` table."""

    def __init__(self, connection: Connection[Any]) -> None:
        """Work on the given connection."""
        self._connection = connection

    def beat(self, worker_id: str, name: str, pid: int, facts: WorkerFacts = _UNSAID) -> None:
        """Say that a worker is alive, and what it serves."""
        self._connection.execute(
            _BEAT,
            {
                "worker_id": worker_id,
                "name": name,
                "pid": pid,
                "queues": list(facts.queues),
                "pool": facts.pool,
                "concurrency": facts.concurrency,
            },
        )

    def forget(self, worker_id: str) -> None:
        """Say that a worker has stopped and holds nothing."""
        self._connection.execute(_FORGET, {"worker_id": worker_id})

    def page(self) -> list[WorkerRecord]:
        """Return the workers heard of lately, by name, also those that fell silent."""
        return [WorkerRecord(**row._asdict()) for row in self._connection.execute(_PAGE)]

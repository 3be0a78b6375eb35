"""The heartbeats of workers."""

from datetime import UTC, datetime, timedelta
from typing import Any, Final

from psycopg import Connection

from workflow_engine.model.workers import WorkerFacts, WorkerRecord
from workflow_engine.release import release
from workflow_engine.store.statements import statement

_BEAT = statement("beat_worker")
_FORGET = statement("forget_worker")
_FORGET_SILENT = statement("forget_silent")
_NEXT_SILENCE = statement("next_silence")
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
                "release": release(),
                "workflows": None if facts.workflows is None else list(facts.workflows),
                "told_at": datetime.now(UTC),
            },
        )

    def forget(self, worker_id: str) -> None:
        """Say that a worker has stopped and holds nothing."""
        self._connection.execute(_FORGET, {"worker_id": worker_id})

    def forget_silent(self, age: timedelta) -> None:
        """Remove workers that were not heard of for ``age``."""
        self._connection.execute(_FORGET_SILENT, {"age": age})

    def seconds_until_silence(self, lease: timedelta) -> float | None:
        """Return how long until the first of those alive would be silent for ``lease``; None if none is alive."""
        row = self._connection.execute(_NEXT_SILENCE, {"lease": lease}).fetchone()
        return None if row is None else row.seconds

    def page(self) -> list[WorkerRecord]:
        """Return the workers heard of lately, by name, also those that fell silent."""
        return [WorkerRecord(**row._asdict()) for row in self._connection.execute(_PAGE)]

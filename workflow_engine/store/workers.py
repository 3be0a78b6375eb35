"""The heartbeats of workers."""

from typing import Any

from psycopg import Connection

from workflow_engine.store.statements import statement

_BEAT = statement("beat_worker")
_FORGET = statement("forget_worker")


class Workers:
    """The ``workers`` table."""

    def __init__(self, connection: Connection[Any]) -> None:
        """Work on the given connection."""
        self._connection = connection

    def beat(self, worker_id: str, name: str, pid: int) -> None:
        """Say that a worker is alive."""
        self._connection.execute(_BEAT, {"worker_id": worker_id, "name": name, "pid": pid})

    def forget(self, worker_id: str) -> None:
        """Say that a worker has stopped and holds nothing."""
        self._connection.execute(_FORGET, {"worker_id": worker_id})

"""What live streams of events ask: who submitted runs, how far back the log goes, and who has a ticket."""

import json
import uuid
from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any

from psycopg import Connection

from workflow_engine.ids import RunId
from workflow_engine.store.statements import statement

_INITIATORS = statement("run_initiators")
_OLDEST = statement("log_oldest")
_SAVE_TICKET = statement("save_ticket")
_TAKE_TICKET = statement("take_ticket")


class Streams:
    """Questions of streams, and the ``stream_tickets`` table."""

    def __init__(self, connection: Connection[Any]) -> None:
        """Work on the given connection."""
        self._connection = connection

    def initiators(self, run_ids: Collection[RunId]) -> dict[RunId, str | None]:
        """Return who submitted each of these runs, as far as they are there."""
        wanted = [uuid.UUID(run_id) for run_id in run_ids]
        rows = self._connection.execute(_INITIATORS, {"run_ids": wanted}).fetchall()
        return {RunId(str(row.id)): row.initiator for row in rows}

    def oldest(self) -> int | None:
        """Return the smallest position that the log still has; None if it is empty."""
        row = self._connection.execute(_OLDEST).fetchone()
        return None if row is None else row.oldest

    def save_ticket(self, digest: bytes, caller: Mapping[str, Any], seconds: float) -> datetime:
        """Keep a ticket for so long; return until when."""
        row = self._connection.execute(
            _SAVE_TICKET, {"digest": digest, "caller": json.dumps(caller), "seconds": seconds}
        ).fetchone()
        assert row is not None  # noqa: S101  an INSERT that returns its row
        expires_at: datetime = row.expires_at
        return expires_at

    def take_ticket(self, digest: bytes) -> Mapping[str, Any] | None:
        """Use up a ticket; return whose it is, None if there is none or its time is over."""
        row = self._connection.execute(_TAKE_TICKET, {"digest": digest}).fetchone()
        return row.caller if row is not None and row.is_good else None

"""What a doctor asks of the database: how it is set up, who works on it, and what should have happened by now."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from psycopg import Connection

from workflow_engine.store.database import bound
from workflow_engine.store.statements import statement

_SERVER = statement("server_facts")
_LEADER = statement("find_leader")
_RELAYS = statement("page_relays")
_VERSIONS = statement("unfinished_versions")
_OVERDUE = statement("overdue_timers")
_LONGEST = statement("longest_running")

LOOKED: Final = 10_000
"""Unfinished runs, and timers, that are looked at."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerFacts:
    """How a PostgreSQL is set up, and how busy it is."""

    version: str
    max_connections: int
    reserved_connections: int
    connections: int
    """In use, by anybody."""
    fsync: bool
    full_page_writes: bool
    synchronous_commit: bool
    is_read_only: bool
    oldest_transaction_seconds: float | None
    """How long the oldest transaction on this database has been open; None if there is none."""
    now: datetime

    @property
    def usable_connections(self) -> int:
        """How many there are for anybody but superusers."""
        return self.max_connections - self.reserved_connections


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessFacts:
    """A coordinator or relay, as it was last heard of."""

    name: str
    release: str | None
    """Of this library; None if it does not say."""
    clock_ahead: float | None
    """Seconds by which its host's clock is ahead of PostgreSQL's."""
    silent_seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class VersionInUse:
    """A version of a workflow that has unfinished runs."""

    namespace: str
    workflow: str
    version: str
    runs: int

    @property
    def key(self) -> str:
        """As workers name what they have."""
        return f"{self.namespace}/{self.workflow}/{self.version}"


@dataclass(frozen=True, slots=True, kw_only=True)
class OverdueTimers:
    """Timers that nobody has fired."""

    number: int
    seconds: float | None
    """How late the first one is."""


class Diagnosis:
    """Questions about the installation rather than about runs."""

    def __init__(self, connection: Connection[Any]) -> None:
        """Ask on the given connection."""
        self._connection = connection

    def be_brief(self, longest: timedelta) -> None:
        """Let no statement of this transaction take longer."""
        bound(self._connection, longest)

    def server(self) -> ServerFacts:
        """Return how PostgreSQL is set up; needs no table."""
        return ServerFacts(**self._one(_SERVER)._asdict())

    def leader(self, role: str) -> ProcessFacts | None:
        """Return who was last known to lead in a role."""
        row = self._connection.execute(_LEADER, {"role": role}).fetchone()
        return None if row is None else ProcessFacts(**row._asdict())

    def relays(self) -> Sequence[ProcessFacts]:
        """Return the relays, also those that fell silent within the last day."""
        return [ProcessFacts(**row._asdict()) for row in self._connection.execute(_RELAYS)]

    def versions(self, limit: int = LOOKED) -> Sequence[VersionInUse]:
        """Return the versions of workflows that have unfinished runs."""
        return [VersionInUse(**row._asdict()) for row in self._connection.execute(_VERSIONS, {"limit": limit})]

    def overdue_timers(self, grace: timedelta, limit: int = LOOKED) -> OverdueTimers:
        """Return how many timers are late by more than ``grace``."""
        return OverdueTimers(**self._one(_OVERDUE, grace=grace, limit=limit)._asdict())

    def longest_running(self, limit: int = LOOKED) -> float | None:
        """Return for how many seconds the step that runs for longest has run; None if none runs."""
        seconds: float | None = self._one(_LONGEST, limit=limit).seconds
        return seconds

    def _one(self, query: bytes, **values: Any) -> Any:
        (row,) = self._connection.execute(query, values).fetchall()
        return row

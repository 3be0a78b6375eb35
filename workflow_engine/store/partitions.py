"""Monthly partitions of the tables that only grow: made ahead, filled from the default one, dropped when old."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import psycopg
from psycopg import Connection, sql

from workflow_engine.store.statements import statement

_TRY_LOCK = statement("try_janitor_lock")
_LIST = statement("list_partitions")
_BEHIND = statement("find_cursors_behind")
_ANCHOR = statement("anchor_audit_rows")

_PATIENCE: Final = timedelta(seconds=2)
_PATIENCE_TO_DROP: Final = timedelta(milliseconds=200)
"""Shorter: who waits to drop a partition makes every writer wait. Below PostgreSQL's deadlock_timeout, too."""
_ACTIVE: Final = timedelta(days=30)
"""A subscriber that no relay has held for longer is not waited for."""

_LATER = (psycopg.errors.LockNotAvailable, psycopg.errors.DeadlockDetected)


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Month:
    """A month in UTC."""

    year: int
    month: int

    @classmethod
    def of(cls, moment: datetime) -> "Month":
        """Return the month that a moment is in."""
        moment = moment.astimezone(UTC)
        return cls(year=moment.year, month=moment.month)

    @property
    def next(self) -> "Month":
        """The month after it."""
        return Month(year=self.year + self.month // 12, month=self.month % 12 + 1)

    @property
    def start(self) -> datetime:
        """Its first moment."""
        return datetime(self.year, self.month, 1, tzinfo=UTC)

    @property
    def end(self) -> datetime:
        """The first moment after it."""
        return self.next.start

    def __str__(self) -> str:
        return f"{self.year:04}-{self.month:02}"


@dataclass(frozen=True, slots=True, kw_only=True)
class PartitionedTable:
    """A table with a partition for each month of ``occurred_at``, and one for rows of a month that has none."""

    name: str
    is_delivered: bool = False
    """Subscribers read it: what one of them has not had is not dropped."""
    is_chained: bool = False
    """Its rows are a hash chain: an anchor is left where some are dropped, and TRUNCATE is refused."""

    @property
    def default(self) -> str:
        """The partition of rows whose month has none."""
        return f"{self.name}_default"

    def partition(self, month: Month) -> str:
        """Return the name of a month's partition."""
        return f"{self.name}_{month.year:04}_{month.month:02}"


EVENT_LOG: Final = PartitionedTable(name="events", is_delivered=True)
AUDIT_LOG: Final = PartitionedTable(name="audit_log", is_chained=True)


class Partitions:
    """The partitions of ``events`` and ``audit_log``."""

    def __init__(self, connection: Connection[Any]) -> None:
        """Work on the given connection, which must be in a transaction."""
        self._connection = connection

    def lock(self) -> bool:
        """Keep other janitors out until the transaction ends; False if one is at work."""
        (row,) = self._connection.execute(_TRY_LOCK).fetchall()
        return bool(row.locked)

    def months(self, table: PartitionedTable) -> list[Month]:
        """Return the months that have a partition, oldest first."""
        form = re.compile(rf"{table.name}_(\d{{4}})_(\d{{2}})")
        names = [row.name for row in self._connection.execute(_LIST, {"table": table.name})]
        found = [match for name in names if (match := form.fullmatch(name))]
        return sorted(Month(year=int(match[1]), month=int(match[2])) for match in found)

    def stray_months(self, table: PartitionedTable) -> list[Month]:
        """Return the months of rows in the default partition, oldest first."""
        query = sql.SQL(
            "SELECT DISTINCT date_trunc('month', occurred_at AT TIME ZONE 'UTC') AS month FROM {default} "
            "WHERE occurred_at >= '0001-01-01' AND occurred_at < '9999-12-01' ORDER BY month"
        ).format(default=sql.Identifier(table.default))
        return [Month.of(row.month.replace(tzinfo=UTC)) for row in self._connection.execute(query)]

    def make(self, table: PartitionedTable, month: Month, *, is_written: bool) -> int | None:
        """Make a month's partition of the rows of it that are in the default one; return how many there were.

        Writers of other months go on meanwhile. Rows that ``is_written`` tells of may come at this very moment: then
        writers wait until the partition is there, for a row on its way to the default one would be refused.

        None: others use the table and did not let go in time; nothing was changed.
        """
        names = self._names(table, month)
        with self._impatient(_PATIENCE) as impatient:
            if is_written:
                self._run("LOCK TABLE {table} IN SHARE ROW EXCLUSIVE MODE", names)
            self._run("CREATE TABLE {partition} (LIKE {table} INCLUDING ALL)", names)
            # ATTACH would else read all of the partition, with the default one locked.
            self._run(
                "ALTER TABLE {partition} ADD CONSTRAINT {check} CHECK (occurred_at >= {start} AND occurred_at < {end})",
                names,
            )
            self._run("LOCK TABLE {default} IN ACCESS EXCLUSIVE MODE", names)
            impatient.moved = self._move_rows(names)
            self._run("ALTER TABLE {table} ATTACH PARTITION {partition} FOR VALUES FROM ({start}) TO ({end})", names)
            self._run("ALTER TABLE {partition} DROP CONSTRAINT {check}", names)
            if table.is_chained:  # triggers for each row come with ATTACH, this one does not
                self._run(
                    "CREATE TRIGGER {guard} BEFORE TRUNCATE ON {partition} FOR EACH STATEMENT "
                    "EXECUTE FUNCTION wfe_refuse_change()",
                    names,
                )
        return impatient.moved if impatient.is_done else None

    def subscribers_behind(self, table: PartitionedTable, month: Month) -> list[str]:
        """Return the active subscribers that have not had all events of a month's partition."""
        query = sql.SQL("SELECT max(id) AS last FROM {partition}").format(**self._names(table, month))
        (row,) = self._connection.execute(query).fetchall()
        values = {"position": row.last, "active": _ACTIVE}
        return [each.subscriber for each in self._connection.execute(_BEHIND, values)]

    def drop(self, table: PartitionedTable, month: Month) -> bool:
        """Drop a month's partition with its rows; False if others use the table and did not let go in time."""
        names = self._names(table, month)
        with self._impatient(_PATIENCE_TO_DROP) as impatient:
            if table.is_chained:
                self._run("LOCK TABLE {partition} IN SHARE MODE", names)  # a late row would be in no anchor
                self._connection.execute(_ANCHOR, {"start": month.start, "end": month.end})
            self._run("DROP TABLE {partition}", names)
        return impatient.is_done

    def _move_rows(self, names: dict[str, sql.Composable]) -> int:
        """Move rows out of the default partition, whose triggers refuse that to everybody else."""
        self._run("ALTER TABLE {default} DISABLE TRIGGER USER", names)
        moved = self._run(
            "WITH moved AS (DELETE FROM {default} WHERE occurred_at >= {start} AND occurred_at < {end} RETURNING *) "
            "INSERT INTO {partition} SELECT * FROM moved",
            names,
        )
        self._run("ALTER TABLE {default} ENABLE TRIGGER USER", names)
        return moved.rowcount

    @contextmanager
    def _impatient(self, patience: timedelta) -> Iterator["_Attempt"]:
        """Do it all, or nothing if a lock is not to be had in time."""
        attempt = _Attempt()
        milliseconds = int(patience.total_seconds() * 1_000)
        try:
            with self._connection.transaction():
                self._connection.execute(sql.SQL("SET LOCAL lock_timeout = {}").format(milliseconds))
                yield attempt
            attempt.is_done = True
        except _LATER:
            pass

    def _run(self, text: Any, names: dict[str, sql.Composable]) -> psycopg.Cursor[Any]:
        return self._connection.execute(sql.SQL(text).format(**names))

    @staticmethod
    def _names(table: PartitionedTable, month: Month) -> dict[str, sql.Composable]:
        partition = table.partition(month)
        return {
            "table": sql.Identifier(table.name),
            "default": sql.Identifier(table.default),
            "partition": sql.Identifier(partition),
            "check": sql.Identifier(f"{partition}_month_check"),
            "guard": sql.Identifier(f"{table.name}_kept"),
            "start": sql.Literal(month.start.isoformat()),
            "end": sql.Literal(month.end.isoformat()),
        }


@dataclass(slots=True)
class _Attempt:
    is_done: bool = False
    moved: int = 0

"""What is looked at again and again: the memory of each process, the size of each table, and what waits."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from statistics import fmean
from time import monotonic
from typing import Any, Final

import psycopg
import redis

from benchmarks.process_memory import Memory, children_of, memory_of, together
from benchmarks.servers import keys_of

_TABLES: Final = """
SELECT regexp_replace(relname, '_(\\d{4}_?\\d{2}|default)$', '') AS name,
       sum(n_live_tup)::bigint, sum(n_dead_tup)::bigint,
       sum(pg_table_size(relid))::bigint, sum(pg_indexes_size(relid))::bigint
  FROM pg_stat_user_tables
 GROUP BY 1
HAVING sum(pg_total_relation_size(relid)) > 200000
"""
_WAITING: Final = """
SELECT (SELECT count(*) FROM runs WHERE finished_at IS NULL),
       (SELECT coalesce(max(id), 0) FROM events)
       - (SELECT coalesce(min(position), 0) FROM cursors WHERE owner IS NOT NULL)
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """One table with its partitions."""

    live: int
    dead: int
    table_bytes: int
    index_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """Everything at one moment."""

    at: float
    """Seconds since the load began."""
    memory: Mapping[str, Memory]
    tables: Mapping[str, Table]
    in_queue: int
    unfinished_runs: int
    undelivered_events: int

    def as_json(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return asdict(self)


class Sampler:
    """Looks at running processes and their servers."""

    def __init__(self, processes: Mapping[str, int], database_url: str, broker_url: str, queue: str) -> None:
        """Look at processes, given by name to process id, at those below them, and at the servers."""
        self._processes = processes
        self._database = psycopg.connect(database_url, autocommit=True)
        self._broker = redis.Redis.from_url(broker_url)
        self._queue = queue
        self._began = monotonic()

    def begin(self) -> None:
        """Count the time from now."""
        self._began = monotonic()

    def take(self) -> Sample:
        """Look at everything."""
        tables = {
            name: Table(live=live, dead=dead, table_bytes=size, index_bytes=indexes)
            for name, live, dead, size, indexes in self._database.execute(_TABLES).fetchall()
        }
        waiting = self._database.execute(_WAITING).fetchone() or (0, 0)
        return Sample(
            at=monotonic() - self._began,
            memory=self._memory(),
            tables=tables,
            in_queue=sum(self._broker.llen(key) for key in keys_of(self._broker, self._queue)),
            unfinished_runs=waiting[0],
            undelivered_events=max(0, waiting[1]),
        )

    def unfinished_runs(self) -> int:
        """Return how many runs have not ended."""
        row = self._database.execute("SELECT count(*) FROM runs WHERE finished_at IS NULL").fetchone()
        return 0 if row is None else int(row[0])

    def close(self) -> None:
        """Give back connections."""
        self._database.close()
        self._broker.close()

    def _memory(self) -> dict[str, Memory]:
        found = {}
        for name, pid in self._processes.items():
            pool = children_of(pid)
            if name == "postgres":  # a process for each connection: together, what they share counted once
                found[name] = together([pid, *pool])
                continue
            for part, each in [(name, pid), *((f"{name}, pool {index}", one) for index, one in enumerate(pool, 1))]:
                memory = memory_of(each)
                if memory is not None:
                    found[part] = memory
        return found


def growth(samples: Sequence[Sample], process: str) -> tuple[float, float]:
    """Return the mean kilobytes that a process has for itself in the first third of the samples and in the last."""
    first, last = thirds(samples)
    return _mean(first, process), _mean(last, process)


def thirds(samples: Sequence[Sample]) -> tuple[Sequence[Sample], Sequence[Sample]]:
    """Return the first third and the last."""
    each = max(1, len(samples) // 3)
    return samples[:each], samples[-each:]


def _mean(samples: Sequence[Sample], process: str) -> float:
    return fmean(sample.memory[process].own for sample in samples if process in sample.memory)

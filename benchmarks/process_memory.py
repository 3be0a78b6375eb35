"""What processes weigh, as the kernel says it."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_PROC: Final = Path("/proc")


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """Kilobytes of one process."""

    resident: int
    own: int
    """What no other process shares."""


def memory_of(pid: int) -> Memory | None:
    """Return what a process weighs; None if it has ended, or is not ours to look at."""
    fields = _rollup(pid)
    return None if fields is None else Memory(resident=fields["Rss"], own=_own(fields))


def together(pids: Sequence[int]) -> Memory:
    """Return what processes weigh together, what they share counted once."""
    each = [fields for fields in map(_rollup, pids) if fields is not None]
    return Memory(resident=sum(fields["Pss"] for fields in each), own=sum(map(_own, each)))


def children_of(pid: int) -> list[int]:
    """Return the processes that a process has forked; none if it has ended."""
    found: list[int] = []
    for entry in _PROC.glob(f"{pid}/task/*/children"):
        with suppress(OSError):
            found += map(int, entry.read_text().split())
    return sorted(found)


def _own(fields: dict[str, int]) -> int:
    return fields["Private_Clean"] + fields["Private_Dirty"]


def _rollup(pid: int) -> dict[str, int] | None:
    try:
        lines = (_PROC / str(pid) / "smaps_rollup").read_text().splitlines()[1:]
    except OSError:
        return None
    return {name: int(size.split()[0]) for name, _, size in (line.partition(":") for line in lines)}

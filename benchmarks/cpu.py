"""Processor time by part: steadier than the clock on a machine that others use too."""

import os
from collections.abc import Mapping
from pathlib import Path
from threading import Event as Flag
from time import monotonic
from typing import Final

_PROC = Path("/proc")
_PARENT, _TIMES = 1, slice(11, 15)
"""Fields of ``/proc/<pid>/stat`` after the process's name: utime, stime, and the same of children that ended."""

_BUSY = (1, 2, 3, 6, 7, 8)
"""Fields of the first line of ``/proc/stat``: user, nice, system, interrupts, steal; not idle and waiting."""

_SAMPLE: Final = 0.4

QUIET: Final = 0.1
"""Share of the processors that others may take in a round that counts as quiet."""


class Meter:
    """Reads what process trees have used so far; on systems without ``/proc`` it reads nothing."""

    def __init__(self, roots: Mapping[str, int]) -> None:
        """Watch the tree of each root, given as name to process id."""
        self._roots = roots
        self._tick = os.sysconf("SC_CLK_TCK")

    def read(self) -> dict[str, float]:
        """Return the seconds each tree has used; ``client`` is this process alone, ``others`` all that is not ours."""
        rows = _rows()
        children: dict[int, list[int]] = {}
        for pid, fields in rows.items():
            children.setdefault(int(fields[_PARENT]), []).append(pid)
        used: dict[str, float] = {}
        for name, root in self._roots.items():
            if root not in rows:
                continue
            used[name] = self._seconds(rows[root])
            below = sum(self._seconds(rows[pid]) for pid in _below(root, children))
            if name == "worker":
                used["pool"] = below
            else:
                used[name] += below
        own = os.times()
        if used:
            used["client"] = own.user + own.system
            used["others"] = machine_seconds() - sum(used.values())
        return used

    def _seconds(self, fields: list[str]) -> float:
        return sum(int(field) for field in fields[_TIMES]) / self._tick


def machine_seconds() -> float:
    """Return the processor time that everything on this machine has used so far; 0 where that cannot be read."""
    if not (_PROC / "stat").exists():
        return 0.0
    fields = (_PROC / "stat").read_text().split("\n", 1)[0].split()
    return sum(int(fields[number]) for number in _BUSY) / os.sysconf("SC_CLK_TCK")


def wait_for_quiet(deadline: float) -> None:
    """Come back when the machine has little to do, at the latest at ``deadline`` (of ``monotonic``)."""
    while monotonic() < deadline:
        before = machine_seconds()
        Flag().wait(_SAMPLE)
        if machine_seconds() - before < QUIET * _SAMPLE * (os.cpu_count() or 1):
            return


def difference(after: Mapping[str, float], before: Mapping[str, float]) -> dict[str, float]:
    """Return what was used between two readings."""
    return {name: after[name] - before.get(name, 0.0) for name in after}


def _rows() -> dict[int, list[str]]:
    rows = {}
    for entry in _PROC.glob("[0-9]*/stat"):
        try:
            text = entry.read_text()
        except OSError:  # it has just ended
            continue
        rows[int(entry.parent.name)] = text.rpartition(")")[2].split()
    return rows


def _below(root: int, children: Mapping[int, list[int]]) -> list[int]:
    found = list(children.get(root, ()))
    for pid in found:
        found += children.get(pid, ())
    return found

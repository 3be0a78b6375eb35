"""How a finished step is noticed: it appends a record to a file, which costs both sides the same."""

import os
from collections.abc import Collection
from functools import cache
from pathlib import Path
from threading import Event as Flag
from time import perf_counter

TRACE_FILE = "BENCH_TRACE"
"""The environment variable that tells a worker where to append."""

RECORD = 12
_LOOK_EVERY = 0.002


class StepsMissing(Exception):
    """Not every step ran in time, or one ran that should not have."""


def record(run: int, step: int) -> str:
    """Return what one step of one run appends: always ``RECORD`` bytes."""
    return f"{run:05d}{step:06d}\n"


def append(text: str) -> None:
    """Append a record, in one write."""
    os.write(_descriptor(os.getpid()), text.encode())


@cache
def _descriptor(pid: int) -> int:
    del pid  # a forked process opens the file for itself
    return os.open(os.environ[TRACE_FILE], os.O_WRONLY | os.O_APPEND | os.O_CREAT)


class Trace:
    """The file one side's workers append to."""

    def __init__(self, path: Path) -> None:
        """Begin with an empty file."""
        self.path = path
        path.touch()

    def clear(self) -> None:
        """Forget what was appended; appenders go on at the new end."""
        os.truncate(self.path, 0)

    def wait(self, records: int, timeout: float) -> float:
        """Return the moment (of ``perf_counter``) at which so many records were there.

        Raises:
            StepsMissing: they were not there in time.
        """
        deadline = perf_counter() + timeout
        while self.path.stat().st_size < records * RECORD:
            if perf_counter() > deadline:
                found = self.path.stat().st_size // RECORD
                raise StepsMissing(f"{found} of {records} steps ran within {timeout:g} s ({self.path.name})")
            Flag().wait(_LOOK_EVERY)
        return perf_counter()

    def check(self, expected: Collection[str]) -> None:
        """Check that each expected record is there once, and nothing else.

        Raises:
            StepsMissing: that is not so.
        """
        found = self.path.read_text().splitlines(keepends=True)
        if sorted(found) != sorted(expected):
            raise StepsMissing(
                f"{self.path.name}: {len(found)} records, {len(set(found))} different, {len(expected)} expected"
            )

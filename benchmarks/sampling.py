"""Where a process's own processor time goes: a sampler in the process itself, which needs nothing installed.

The kernel says each time that the process has used so much of a processor; the function that was at work then decides
what that time is charged to. A sample is one letter in a file.
"""

import os
import signal
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from types import FrameType
from typing import Final

SAMPLES: Final = "BENCH_SAMPLES"
"""The environment variable that tells a process in which folder to write."""
_EVERY: Final = 0.001
"""Seconds of processor time; kernels round it up, to four milliseconds as a rule."""

PARTS: Final = {
    "k": "acknowledging",
    "r": "telling main of kept steps",
    "s": "SQL: psycopg and libpq",
    "j": "JSON",
    "b": "broker: kombu and redis",
    "e": "event loop",
    "p": "pipes between main and pool",
    "h": "handler",
    "c": "Celery",
    "t": "traces and metrics",
    "w": "our Python",
    "o": "other",
}
_MARKS: Final = {"acknowledge": "k", "basic_ack": "k", "ack_log_error": "k", "drain": "r"}
"""Functions to which all is charged that happens below them."""
_PLACES: Final = (
    ("/psycopg", "s"),
    ("/sqlalchemy/", "s"),
    ("/json/", "j"),
    ("/kombu/utils/json", "j"),
    ("/celery_app/kept_steps", "r"),
    ("/kombu/asynchronous/", "e"),
    ("/celery/worker/loops", "e"),
    ("/celery_app/transport", "b"),
    ("/celery_app/receipts", "b"),
    ("/celery_app/publishing", "b"),
    ("/kombu/", "b"),
    ("/redis/", "b"),
    ("/billiard/", "p"),
    ("/celery/concurrency/", "p"),
    ("/benchmarks/sampling", "o"),
    ("/benchmarks/", "h"),
    ("/celery/", "c"),
    ("/opentelemetry/", "t"),
    ("/prometheus_client/", "t"),
    ("/celery_app/tracing", "t"),
    ("/celery_app/spans", "t"),
    ("/workflow_engine/", "w"),
)
"""By the file of the innermost function that is not of Python's own library, which is charged to its caller."""


def start_sampling(role: str) -> None:
    """Note from now on what this process spends its processor time on."""
    path = Path(os.environ[SAMPLES]) / f"{role}.{os.getpid()}"
    file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)

    def sample(number: int, frame: FrameType | None) -> None:
        del number
        os.write(file, letter_of(frame).encode())

    signal.signal(signal.SIGPROF, sample)
    signal.siginterrupt(signal.SIGPROF, False)
    signal.setitimer(signal.ITIMER_PROF, _EVERY, _EVERY)


def letter_of(frame: FrameType | None) -> str:
    """Return what the time of a function is charged to."""
    found = ""
    while frame is not None:
        code = frame.f_code
        mark = _MARKS.get(code.co_name)
        if mark is not None and ("/workflow_engine/" in code.co_filename or "/celery/" in code.co_filename):
            return mark
        if not found:
            found = next((letter for place, letter in _PLACES if place in code.co_filename), "")
        frame = frame.f_back
    return found or "o"


def marks(folder: Path) -> dict[Path, int]:
    """Return how many samples there are of each process."""
    return {path: path.stat().st_size for path in folder.glob("*.*")}


def shares(folder: Path, role: str, since: Sequence[dict[Path, int]], until: Sequence[dict[Path, int]]) -> Counter[str]:
    """Return how many samples each part has, in the processes of a role, between pairs of marks."""
    found: Counter[str] = Counter()
    for begin, end in zip(since, until, strict=True):
        for path in folder.glob(f"{role}.*"):
            found.update(path.read_text()[begin.get(path, 0) : end.get(path, 0)])
    return found

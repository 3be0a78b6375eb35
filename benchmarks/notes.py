"""What the timed processes note: when they had sent a step, and which statements they gave to PostgreSQL."""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from time import time
from typing import Any, Final

import psycopg

from workflow_engine import Engine
from workflow_engine.engine.dispatcher import Dispatch

DISPATCHES: Final = "BENCH_DISPATCHES"
STATEMENTS: Final = "BENCH_STATEMENTS"


def note_dispatches(engine: Engine) -> None:
    """Note each step that the engine of this process has sent, when the broker has it."""
    file = os.open(os.environ[DISPATCHES], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    dispatch = engine.dispatcher.dispatch

    def noted(steps: Sequence[Dispatch]) -> None:
        dispatch(steps)
        now = time()
        os.write(file, "".join(f"{step.run_id} {step.step} {now}\n" for step in steps).encode())

    engine.dispatcher.dispatch = noted  # type: ignore[method-assign]


def note_statements() -> None:
    """Note each statement of this process, by the name of its file or its first word."""
    file = os.open(os.environ[STATEMENTS], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    execute = psycopg.Cursor.execute

    def noted(self: Any, query: Any, *args: Any, **options: Any) -> Any:
        os.write(file, f"{time()} {_name(query)}\n".encode())
        return execute(self, query, *args, **options)

    psycopg.Cursor.execute = noted  # type: ignore[method-assign]


def read_dispatches(path: Path) -> dict[tuple[str, str], float]:
    """Return when each step was sent first, by run and step."""
    found: dict[tuple[str, str], float] = {}
    for run_id, step, at in _lines(path):
        found.setdefault((run_id, step), float(at))
    return found


def read_statements(path: Path) -> list[tuple[float, str]]:
    """Return when each statement was given."""
    return [(float(at), name) for at, name in _lines(path)]


def _lines(path: Path) -> Iterator[list[str]]:
    if path.exists():
        yield from (line.split() for line in path.read_text().splitlines())


def _name(query: Any) -> str:
    text = query.decode() if isinstance(query, bytes) else str(query)
    return text.removeprefix("/* ").split(maxsplit=1)[0]

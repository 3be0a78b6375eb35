"""What handlers of test workflows do beside their work: leave a trace, and wait at gates."""

import os
from pathlib import Path
from threading import Event
from time import monotonic

from celery import signals

from workflow_engine import StepContext

_PATIENCE = 60.0


def folder() -> Path:
    """Return the folder this process shares with its test."""
    return Path(os.environ["STAGE_FOLDER"])


def trace(ctx: StepContext) -> None:
    """Leave a line for this call of a handler."""
    line = f"{ctx.run_id} {ctx.step} {ctx.attempt} {os.getpid()}\n"
    descriptor = os.open(folder() / "trace", os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    try:
        os.write(descriptor, line.encode())  # one write of few bytes: lines of several processes do not mix
    finally:
        os.close(descriptor)


def wait_at_gate(name: str, ctx: StepContext | None = None) -> None:
    """Return once the test has opened the gate; with ``ctx``, ask meanwhile whether to go on."""
    deadline = monotonic() + _PATIENCE
    while not (folder() / f"gate-{name}").exists():
        if ctx is not None:
            ctx.heartbeat()
        if monotonic() > deadline:
            raise TimeoutError(f"gate {name!r} was never opened")
        Event().wait(0.02)


def once(name: str) -> bool:
    """Return True the first time it is asked on this stage, in whatever process."""
    try:
        (folder() / f"once-{name}").touch(exist_ok=False)
    except FileExistsError:
        return False
    return True


def announce_readiness() -> None:
    """Leave a file when the worker takes messages."""
    signals.worker_ready.connect(_on_ready, weak=False)


def _on_ready(**_: object) -> None:
    (folder() / f"ready-{os.environ['STAGE_WORKER']}").touch()

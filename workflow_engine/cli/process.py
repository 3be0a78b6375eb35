"""A process that runs services until it is told to stop."""

import logging
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Thread
from types import FrameType

from workflow_engine.config import Settings
from workflow_engine.engine.supervisor import Supervisor
from workflow_engine.logs import configure_logging


def start_logging(settings: Settings) -> None:
    """Write this process's log to stderr."""
    configure_logging(settings.log_level, settings.log_format)
    logging.getLogger("alembic").setLevel(logging.WARNING)


def run_until_signal(supervisor: Supervisor, ready_file: Path | None = None) -> None:
    """Run services in this process until SIGTERM or SIGINT; meanwhile the file is there."""

    def on_signal(number: int, _: FrameType | None) -> None:
        logging.getLogger(__name__).info("stopping (%s)", signal.Signals(number).name)
        signal.signal(number, signal.SIG_DFL)  # the second one does not wait
        # From a thread: `run` may hold the flag's lock at this very moment, in the thread that runs this.
        Thread(target=supervisor.stop, name="stop").start()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, on_signal)
    with present(ready_file):
        supervisor.run()


@contextmanager
def present(file: Path | None) -> Iterator[None]:
    """Have a file there, with this process's id in it, for the length of a block; None is no file."""
    if file is None:
        yield
        return
    unfinished = file.with_name(f"{file.name}.{os.getpid()}")
    try:
        unfinished.write_text(f"{os.getpid()}\n")
        unfinished.replace(file)  # at once: nobody who sees the file finds it empty
        yield
    finally:
        file.unlink(missing_ok=True)

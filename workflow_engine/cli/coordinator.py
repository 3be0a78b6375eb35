"""``wfe coordinator``: the process that runs what the hot path cannot."""

import logging
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Thread
from types import FrameType

import click

from workflow_engine.bootstrap import Engine
from workflow_engine.cli.attaching import settings_here
from workflow_engine.config import Settings

_LOG_FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"


@click.command()
@click.option(
    "--ready-file", type=click.Path(path_type=Path), help="A file that is there while it runs: for health checks."
)
def coordinator(ready_file: Path | None) -> None:
    """Run retries, timers, polling and the rescue of lost work, until SIGTERM or Ctrl-C.

    One is enough; more of them share the work and stand in for each other.
    """
    run_coordinator(settings_here(), ready_file=ready_file)


def run_coordinator(settings: Settings, *, ready_file: Path | None = None) -> None:
    """Run a coordinator in this process until SIGTERM or SIGINT."""
    logging.basicConfig(level=settings.log_level, format=_LOG_FORMAT)
    logging.getLogger("alembic").setLevel(logging.WARNING)
    settings.require_broker_url()
    settings.require_database_url()
    engine = Engine(settings, application_name="wfe coordinator")
    supervisor = engine.coordinator()

    def on_signal(number: int, _: FrameType | None) -> None:
        logging.getLogger(__name__).info("stopping (%s)", signal.Signals(number).name)
        signal.signal(number, signal.SIG_DFL)  # the second one does not wait
        # From a thread: `run` may hold the flag's lock at this very moment, in the thread that runs this.
        Thread(target=supervisor.stop, name="stop").start()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, on_signal)
    with _present(ready_file):
        supervisor.run()
    engine.close()


@contextmanager
def _present(file: Path | None) -> Iterator[None]:
    if file is None:
        yield
        return
    try:
        file.write_text(f"{os.getpid()}\n")
        yield
    finally:
        file.unlink(missing_ok=True)

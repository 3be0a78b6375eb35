"""``wfe coordinator``: the process that runs what the hot path cannot."""

from pathlib import Path

import click

from workflow_engine.bootstrap.engine import Engine
from workflow_engine.cli.attaching import settings_here
from workflow_engine.cli.process import run_until_signal, start_logging
from workflow_engine.config import Settings


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
    start_logging(settings)
    settings.require_broker_url()
    settings.require_database_url()
    engine = Engine(settings, application_name="wfe coordinator")
    run_until_signal(engine.coordinator(), ready_file)
    engine.close()

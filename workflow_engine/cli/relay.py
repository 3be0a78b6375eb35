"""``wfe relay``: the process that delivers events to durable subscribers."""

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
def relay(ready_file: Path | None) -> None:
    """Deliver events to durable subscribers, until SIGTERM or Ctrl-C.

    One is enough; more of them share the subscribers and stand in for each other.
    """
    run_relay(settings_here(), ready_file=ready_file)


def run_relay(settings: Settings, *, ready_file: Path | None = None) -> None:
    """Run a relay in this process until SIGTERM or SIGINT."""
    start_logging(settings)
    settings.require_database_url()
    engine = Engine(settings, application_name="wfe relay")
    run_until_signal(engine.relay(), ready_file)
    engine.close()

"""``wfe worker``: become a Celery worker."""

import os
from collections.abc import Sequence

import click

from workflow_engine.cli.attaching import environment, settings_here
from workflow_engine.cli.become import become_celery

_HELP_OPTIONS = frozenset({"--help", "-h"})


@click.command(
    add_help_option=False,
    context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False},
)
@click.argument("options", nargs=-1, type=click.UNPROCESSED)
@click.pass_context
def worker(ctx: click.Context, options: Sequence[str]) -> None:
    """Run steps: a Celery worker on the broker and database of the settings.

    Takes every option of `celery worker`, listed below, and passes it on. Unless given, `--hostname` is
    `wfe-PID@HOST` and `--loglevel` comes from WFE_LOG_LEVEL.

    \b
      wfe worker --concurrency 8
      wfe worker --pool threads -c 32 -Q payments,mail
      wfe worker --pool gevent -c 200
    """
    if _HELP_OPTIONS.intersection(options):
        click.echo(ctx.get_help() + "\n")
        become_celery(None, ["worker", "--help"], os.environ)
    settings = settings_here()
    # Ours come first: of an option given twice, the last one counts.
    ours = ["--hostname", f"wfe-{os.getpid()}@%h", "--loglevel", settings.log_level]
    # The banner is no log line.
    quiet = ["--quiet"] if settings.log_format == "json" else []
    become_celery("workflow_engine.cli.worker_app", [*quiet, "worker", *ours, *options], environment(settings))

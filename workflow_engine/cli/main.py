"""The root command: ``wfe``."""

import os
import sys
from typing import Any, Final

import click

from workflow_engine.cli.failures import FAILURE, INTERRUPTED, SUCCESS, as_failure, report
from workflow_engine.cli.lazy import LazyGroup

PROGRAM: Final = "wfe"

_COMMANDS: Final = {
    "demo": ("workflow_engine.cli.demo:demo", "Boot everything, run real workflows, show the results, clean up."),
    "dev": ("workflow_engine.cli.dev:dev", "Run servers, worker, coordinator, relay, API and Flower here."),
    "workflows": ("workflow_engine.cli.workflows:workflows", "List workflows; draw their graphs."),
    "submit": ("workflow_engine.cli.submit:submit", "Start a run of a workflow."),
    "runs": ("workflow_engine.cli.runs:runs", "List, show, explain, watch and cancel runs."),
    "schedules": ("workflow_engine.cli.schedules:schedules", "Start runs again and again: cron and RRULE."),
    "events": ("workflow_engine.cli.events:events", "Read the event catalogue and the event log."),
    "worker": ("workflow_engine.cli.worker:worker", "Run steps: a Celery worker, with all of Celery's options."),
    "workers": ("workflow_engine.cli.workers:workers", "List the workers: what they serve, when last heard of."),
    "coordinator": ("workflow_engine.cli.coordinator:coordinator", "Run retries, timers and the rescue of lost work."),
    "relay": ("workflow_engine.cli.relay:relay", "Deliver events to durable subscribers."),
    "api": ("workflow_engine.cli.api:api", "Serve the HTTP API."),
    "token": ("workflow_engine.cli.token:token", "Make tokens for the HTTP API, for development."),
    "subscribers": ("workflow_engine.cli.subscribers:subscribers", "List durable subscribers; deliver events again."),
    "webhooks": ("workflow_engine.cli.webhooks:webhooks", "List webhooks; post a test event to one."),
    "dead-letters": (
        "workflow_engine.cli.dead_letters:dead_letters",
        "List, requeue and discard events that subscribers failed on.",
    ),
    "audit": ("workflow_engine.cli.audit:audit", "Verify the audit log; list who did what."),
    "flower": ("workflow_engine.cli.flower:flower", "Serve Flower, the monitor of workers and tasks."),
    "doctor": ("workflow_engine.cli.doctor:doctor", "Say what is wrong with database, broker, workers or runs."),
    "generate": ("workflow_engine.cli.generate:generate", "Write a subscriber or a workflow to begin with."),
    "db": ("workflow_engine.cli.database:database", "Migrate the database's schema; look after its partitions."),
}

_EPILOG: Final = """\b
Settings come from WFE_* in the environment, over workflow_engine.toml, over defaults.
With neither WFE_DATABASE_URL nor WFE_BROKER_URL set, commands use the `wfe dev`
that runs in this folder or in a parent of it.

\b
Exit codes: 0 success, 1 failure (also of a run that was waited for), 2 wrong usage.

\b
Shell completion, for ~/.bashrc (or zsh_source, fish_source):
  eval "$(_WFE_COMPLETE=bash_source wfe)"
"""


class Root(LazyGroup):
    """Turns every exception into one line on stderr and an exit code."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; with ``--debug`` let exceptions through, traceback and all."""
        try:
            return super().invoke(ctx)
        except (click.ClickException, click.Abort, click.exceptions.Exit):
            raise
        except BrokenPipeError:  # the reader of our output left, as `head` does: click ends quietly
            raise
        except Exception as error:
            if ctx.params["debug"]:
                raise
            raise as_failure(error) from error

    def main(self, *args: Any, **options: Any) -> Any:
        """Run the command line and end the process; arguments as ``click.Command.main``."""
        sys.exit(self._run(*args, **options))

    def _run(self, *args: Any, **options: Any) -> int:
        try:
            code = super().main(*args, **options | {"standalone_mode": False, "prog_name": PROGRAM})
        except click.ClickException as error:
            if type(error).__name__ == "NoArgsIsHelpError":  # click 8.2 and later
                error.show()
            else:
                report(error)
            return error.exit_code
        except click.Abort:
            return INTERRUPTED
        return code if isinstance(code, int) else SUCCESS


@click.group(PROGRAM, cls=Root, lazy=_COMMANDS, epilog=_EPILOG, context_settings={"max_content_width": 100})
@click.option("--debug", is_flag=True, envvar="WFE_DEBUG", help="Show tracebacks (also: WFE_DEBUG=1).")
@click.version_option(package_name="celery-workflow-engine", prog_name=PROGRAM)
def root(debug: bool) -> None:
    """Durable workflows on Celery and PostgreSQL.

    Try `wfe demo`, then `wfe dev --workflows yourmodule` and `wfe submit NAME` in a second terminal.
    """
    del debug  # read by Root.invoke
    if os.environ.get("NO_COLOR"):
        click.get_current_context().color = False
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")  # a terminal without our letters is no reason to fail


def main() -> None:
    """Run ``wfe``; the entry point of the installed script."""
    try:
        root.main()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(FAILURE)


if __name__ == "__main__":
    main()

"""``wfe runs reschedule``: when a run is due, and what reminds of it."""

from typing import Any

import click

from workflow_engine.cli.actor import actor_option
from workflow_engine.cli.engines import engine_here
from workflow_engine.cli.lengths import parse_lengths
from workflow_engine.cli.output import as_json_option, moment, print_json
from workflow_engine.cli.submit import time_of
from workflow_engine.cli.watching import run_as_json
from workflow_engine.model.durations import duration
from workflow_engine.model.records import RunRecord


@click.command()
@click.argument("run_id")
@click.option("--due-at", metavar="TIME", help="ISO 8601 with a time zone: 2030-01-31T12:00:00Z.")
@click.option("--no-due-at", is_flag=True, help="It is due at no time, and reminds of nothing.")
@click.option("--remind-before", metavar="LENGTHS", help="In place of the reminders it has: 1h,10m.")
@click.option("--no-reminders", is_flag=True, help="It reminds of nothing.")
@actor_option
@as_json_option
def reschedule(
    run_id: str,
    due_at: str | None,
    no_due_at: bool,
    remind_before: str | None,
    no_reminders: bool,
    actor: str,
    as_json: bool,
) -> None:
    """Say anew when run RUN_ID is due; what is not given stays as it is.

    \b
      wfe runs reschedule RUN_ID --due-at 2030-01-31T12:00:00Z --remind-before 1h,10m
    """
    said: dict[str, Any] = {}
    _say(said, "due_at", None if due_at is None else time_of("due_at", due_at), none=no_due_at)
    reminders = None if remind_before is None else parse_lengths("--remind-before", remind_before)
    _say(said, "remind_before", reminders, none=no_reminders)
    if not said:
        raise click.UsageError("nothing to change: give --due-at, --no-due-at, --remind-before or --no-reminders")
    if "due_at" in said and said["due_at"] is None and said.get("remind_before"):
        raise click.UsageError("--remind-before needs a due_at to be before")
    with engine_here() as engine:
        run = engine.client.run(run_id)
        changed = run.reschedule(**said, actor=actor)
        record = run.record
        if as_json:
            print_json(run_as_json(run) | {"changed": changed})
        else:
            click.echo(
                f"{run.id}  {describe_deadline(record) or 'due at no time'}" + ("" if changed else ", as before")
            )


def describe_deadline(run: RunRecord) -> str | None:
    """Return when a run is due, and its reminders; None if it never is."""
    if run.due_at is None:
        return None
    before = ", ".join(duration(each) for each in run.remind_before)
    return f"due {moment(run.due_at)}" + (f", reminders {before} before" if before else "")


def _say(said: dict[str, Any], name: str, value: Any, *, none: bool) -> None:
    option = "--no-due-at and --due-at" if name == "due_at" else "--no-reminders and --remind-before"
    if none and value is not None:
        raise click.UsageError(f"{option} exclude each other")
    if none:
        said[name] = None if name == "due_at" else []
    elif value is not None:
        said[name] = value

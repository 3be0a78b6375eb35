"""``wfe runs update|delete``: what is said about a run that goes on, and an end to one that has ended."""

from collections.abc import Callable
from typing import Any, Final, TypeVar

import click

from workflow_engine.cli.actor import actor_option
from workflow_engine.cli.engines import engine_here
from workflow_engine.cli.lengths import parse_lengths
from workflow_engine.cli.lifecycle import reason_option
from workflow_engine.cli.output import as_json_option, print_json
from workflow_engine.cli.submit import parse_json, time_of
from workflow_engine.definitions.policies import Priority

Command = TypeVar("Command", bound=Callable[..., Any])
NOTHING: Final = "none"
"""What takes a value away."""
_PREFIX: Final = "new_"


def change_options(prefix: str = "") -> Callable[[Command], Command]:
    """Give a command the options that say what is to be different; a prefix tells them from those of a filter."""
    options = (
        click.option(
            f"--{prefix}priority",
            f"{_PREFIX}priority",
            type=click.Choice([*(each.value for each in Priority), NOTHING]),
            help="Of what was not sent to workers yet; none: each step's own.",
        ),
        click.option(f"--{prefix}title", f"{_PREFIX}title", help="A line for people; none: no title."),
        click.option(f"--{prefix}description", f"{_PREFIX}description", help="More for people; none: nothing."),
        click.option(
            f"--{prefix}tag", f"{_PREFIX}tags", multiple=True, help="In place of the tags there are; may be repeated."
        ),
        click.option(
            f"--{prefix}metadata", f"{_PREFIX}metadata", metavar="JSON", help="Merged into what there is; null removes."
        ),
        click.option(f"--{prefix}due-at", f"{_PREFIX}due_at", metavar="TIME", help="When it is due; none: at no time."),
        click.option(
            f"--{prefix}remind-before", f"{_PREFIX}remind_before", metavar="LENGTHS", help="1h,10m; none: nothing."
        ),
    )

    def give(command: Command) -> Command:
        for option in reversed(options):
            command = option(command)
        return command

    return give


def taken_changes(options: dict[str, Any]) -> dict[str, Any]:
    """Take what is to be different out of a command's options.

    Raises:
        click.UsageError: it is nothing, or not of the right form.
    """
    said = {name: options.pop(name) for name in list(options) if name.startswith(_PREFIX)}
    changes = {
        name.removeprefix(_PREFIX): _value(name.removeprefix(_PREFIX), value)
        for name, value in said.items()
        if value not in (None, ())
    }
    if not changes:
        raise click.UsageError("nothing to change: see --help for what can be")
    return changes


def _value(name: str, value: Any) -> Any:
    if name == "tags":
        return value
    if name == "metadata":
        return parse_json("--metadata", value)
    if value == NOTHING:
        return [] if name == "remind_before" else None
    if name == "due_at":
        return time_of("due_at", value)
    return parse_lengths("--remind-before", value) if name == "remind_before" else value


@click.command()
@click.argument("run_id")
@change_options()
@actor_option
@as_json_option
def update(run_id: str, actor: str, as_json: bool, **options: Any) -> None:
    """Change what is said about run RUN_ID, which has not ended; what is not given stays as it is.

    \b
      wfe runs update RUN_ID --priority critical --metadata '{"checked_by": "ada"}'
    """
    changes = taken_changes(options)
    with engine_here() as engine:
        run = engine.client.run(run_id)
        changed = run.update(actor=actor, **changes)
    if as_json:
        print_json({"id": run.id, "changed": changed})
    else:
        click.echo(f"{run.id}  {'changed: ' + ', '.join(changed) if changed else 'as before'}")


@click.command()
@click.argument("run_id")
@reason_option
@actor_option
@as_json_option
def delete(run_id: str, reason: str | None, actor: str, as_json: bool) -> None:
    """Forget run RUN_ID, which has ended, with its steps and results. Its events stay in the log."""
    with engine_here() as engine:
        run = engine.client.run(run_id)
        run.delete(reason, actor=actor)
    if as_json:
        print_json({"id": run.id, "deleted": True})
    else:
        click.echo(f"{run.id}  deleted")

"""``wfe runs bulk cancel|pause|resume|retry|update|delete``: the same done to all runs that fit."""

from typing import Any, Final

import click

from workflow_engine.cli.actor import actor_option
from workflow_engine.cli.changing import change_options, taken_changes
from workflow_engine.cli.engines import engine_here
from workflow_engine.cli.failures import FAILURE
from workflow_engine.cli.listing import filter_options, said_of_runs
from workflow_engine.cli.output import as_json_option, as_values, print_json
from workflow_engine.client.bulk import DoneInBulk
from workflow_engine.model.pages import PAGE_LIMIT

_ACTIONS: Final = {
    "cancel": "Cancel all runs that fit.",
    "pause": "Pause all runs that fit.",
    "resume": "Let all paused runs that fit go on.",
    "retry": "Run what has failed again, of all failed runs that fit.",
    "update": "Change what is said about all runs that fit and have not ended.",
    "delete": "Forget all runs that fit and have ended.",
}


@click.group()
def bulk() -> None:
    """Do the same to all runs that fit a filter, the oldest first; each by itself."""


def _command(action: str, about: str) -> click.Command:
    @bulk.command(action, help=about + " Exit 1 if one is refused.")
    @filter_options
    @click.option("--dry-run", is_flag=True, help="Say which it would be, and do nothing.")
    @click.option("--limit", type=click.IntRange(1, PAGE_LIMIT), default=PAGE_LIMIT, show_default=True, help="At most.")
    @click.option("--reason", help="Why; kept with each.")
    @actor_option
    @as_json_option
    def run(
        dry_run: bool,
        limit: int,
        reason: str | None,
        actor: str,
        as_json: bool,
        **wanted: Any,
    ) -> None:
        changes = [taken_changes(wanted)] if action == "update" else []
        with engine_here() as engine:
            act = getattr(engine.client.in_bulk, action)
            done = act(*changes, reason=reason, actor=actor, dry_run=dry_run, limit=limit, **said_of_runs(wanted))
        if as_json:
            print_json(as_values(done) | {"dry_run": dry_run})
        else:
            _show(done, action, dry_run=dry_run)
        if done.refused:
            click.get_current_context().exit(FAILURE)

    return change_options("set-")(run) if action == "update" else run


for _action, _about in _ACTIONS.items():
    _command(_action, _about)


def _show(done: DoneInBulk, action: str, *, dry_run: bool) -> None:
    for run_id in done.done:
        click.echo(f"{run_id}  {'would ' if dry_run else ''}{action}")
    for refused in done.refused:
        click.echo(f"{refused.id}  refused: {refused.why}")
    if not done.done and not done.refused:
        click.echo("no runs")
    if done.more:
        click.echo("more runs fit: ask again")

"""``wfe db``: where the schema stands, and moving it."""

import sys
from collections.abc import Sequence
from contextlib import closing

import click
from alembic.util import CommandError

from workflow_engine.bootstrap.engine import Engine
from workflow_engine.cli.attaching import settings_here
from workflow_engine.cli.failures import FAILURE
from workflow_engine.cli.output import as_json_option, as_values, print_json
from workflow_engine.engine.janitor import Deed, Upkeep
from workflow_engine.store import migration
from workflow_engine.store.migration import SchemaVersion


@click.group("db")
def database() -> None:
    """Migrate the schema of the database in WFE_DATABASE_URL, and look after its partitions."""


@database.command()
@click.argument("revision", default="head")
@as_json_option
def upgrade(revision: str, as_json: bool) -> None:
    """Run the migrations up to REVISION, by default all of them. Safe to repeat."""
    url = settings_here().require_database_url()
    before = migration.version(url)
    try:
        migration.upgrade(url, revision)
    except CommandError as error:
        raise click.UsageError(str(error)) from error
    _say(before, migration.version(url), as_json=as_json)


@database.command(context_settings={"ignore_unknown_options": True})  # "-1" is a revision, not an option
@click.argument("revision", default="-1")
@click.option("--yes", is_flag=True, help="Do not ask.")
@as_json_option
def downgrade(revision: str, yes: bool, as_json: bool) -> None:
    """Run the migrations back to REVISION, by default one step. `base` removes everything, data too."""
    url = settings_here().require_database_url()
    before = migration.version(url)
    if not yes and sys.stdin.isatty():
        click.confirm(f"Downgrade from {before.current or 'nothing'}? Data of what is removed is lost", abort=True)
    try:
        migration.downgrade(url, revision)
    except CommandError as error:
        raise click.UsageError(str(error)) from error
    _say(before, migration.version(url), as_json=as_json)


@database.command()
@as_json_option
@click.pass_context
def check(ctx: click.Context, as_json: bool) -> None:
    """Tell whether the schema is that of this release; exit 1 if it is not."""
    found = migration.version(settings_here().require_database_url())
    if as_json:
        print_json({"current": found.current, "head": found.head, "is_current": found.is_current})
    elif found.is_current:
        click.echo(f"the schema is current: {found.head}")
    else:
        click.echo(f"the schema is {found.current or 'missing'}, this release wants {found.head}: run `wfe db upgrade`")
    if not found.is_current:
        ctx.exit(FAILURE)


@database.command()
@click.option("--dry-run", is_flag=True, help="Only say what would be done.")
@as_json_option
@click.pass_context
def prune(ctx: click.Context, dry_run: bool, as_json: bool) -> None:
    """Make the partitions of the coming months, and drop those past WFE_EVENTS_KEEP_DAYS and WFE_AUDIT_KEEP_DAYS.

    The coordinator does it every hour. Exit 1 if something was in the way.
    """
    settings = settings_here()
    settings.require_database_url()
    with closing(Engine(settings, application_name="wfe")) as engine:
        done = engine.janitor.tidy(dry_run=dry_run)
    if as_json:
        print_json([as_values(each) for each in done])
    else:
        _print_upkeep(done, dry_run=dry_run)
    if any(each.deed is Deed.POSTPONED for each in done):
        ctx.exit(FAILURE)


def _print_upkeep(done: Sequence[Upkeep], *, dry_run: bool) -> None:
    for each in done:
        deed = f"would be {each.deed}" if dry_run and each.deed is not Deed.KEPT else each.deed.value
        click.echo(f"{each.partition}  {deed}{_remark(each)}")
    if not done:
        click.echo("nothing to do")


def _remark(done: Upkeep) -> str:
    if done.deed is Deed.KEPT:
        return f": {', '.join(done.subscribers)} did not get all of it"
    if done.deed is Deed.POSTPONED:
        return ": somebody uses the table; try again"
    return f": {done.moved} rows moved into it" if done.moved else ""


def _say(before: SchemaVersion, after: SchemaVersion, *, as_json: bool) -> None:
    if as_json:
        print_json({"before": before.current, "current": after.current, "head": after.head})
    elif before.current == after.current:
        click.echo(f"nothing to do: the schema is {after.current or 'empty'}")
    else:
        click.echo(f"{before.current or 'empty'} -> {after.current or 'empty'}")

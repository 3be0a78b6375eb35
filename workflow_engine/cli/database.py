"""``wfe db``: where the schema stands, and moving it."""

import sys

import click
from alembic.util import CommandError

from workflow_engine.cli.attaching import settings_here
from workflow_engine.cli.failures import FAILURE
from workflow_engine.cli.output import as_json_option, print_json
from workflow_engine.store import migration
from workflow_engine.store.migration import SchemaVersion


@click.group("db")
def database() -> None:
    """Migrate the schema of the database in WFE_DATABASE_URL."""


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


def _say(before: SchemaVersion, after: SchemaVersion, *, as_json: bool) -> None:
    if as_json:
        print_json({"before": before.current, "current": after.current, "head": after.head})
    elif before.current == after.current:
        click.echo(f"nothing to do: the schema is {after.current or 'empty'}")
    else:
        click.echo(f"{before.current or 'empty'} -> {after.current or 'empty'}")

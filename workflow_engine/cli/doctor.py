"""``wfe doctor``: what is wrong here, and what to do."""

import logging
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Final

import click
from celery import Celery
from celery.app.utils import find_app
from rich.table import Table
from rich.text import Text

from workflow_engine.cli.attaching import settings_here
from workflow_engine.cli.failures import FAILURE
from workflow_engine.cli.output import as_json_option, as_values, print_json, print_rich
from workflow_engine.config import Settings
from workflow_engine.doctor.examination import Examination
from workflow_engine.doctor.finding import Finding, Level, failing, fine
from workflow_engine.embedded.attach import Attached, find_running
from workflow_engine.embedded.ports import LOOPBACK
from workflow_engine.errors import ConfigurationError
from workflow_engine.release import release

_EVERYWHERE: Final = frozenset({"0.0.0.0", "::"})  # noqa: S104 - an address to compare with
_STYLES: Final = {Level.OK: "green", Level.WARNING: "yellow", Level.ERROR: "bold red"}


@click.command()
@click.option("-A", "--app", metavar="MODULE:APP", help="Your Celery app, where steps run on that.")
@click.option("--quiet", is_flag=True, help="Say nothing of what is as it should be.")
@as_json_option
@click.pass_context
def doctor(ctx: click.Context, app: str | None, quiet: bool, as_json: bool) -> None:
    """Look at database, broker, workers, coordinator, relay and what is stuck; say what is wrong, and what to do.

    Works, and says what it can, while servers are away. Exit 1 if something is wrong; warnings are not.
    """
    logging.getLogger("psycopg.pool").setLevel(logging.CRITICAL)  # the findings say the same once
    found = list(_findings(_load(app)))
    shown = [each for each in found if not (quiet and each.is_fine)]
    is_healthy = all(each.level is not Level.ERROR for each in found)
    if as_json:
        print_json({"healthy": is_healthy, "release": release(), "findings": [as_values(each) for each in shown]})
    else:
        _print(shown, found)
    if not is_healthy:
        ctx.exit(FAILURE)


def _findings(app: Celery | None) -> Iterator[Finding]:
    try:
        settings = settings_here()
    except ConfigurationError as error:
        yield failing("settings", f"{error}.", "Correct the setting; the page of settings has them all.")
        return
    attached = _dev_in_use(settings)
    if attached is not None:
        yield fine("dev", f"`wfe dev` runs in {attached.folder.parent} (process {attached.pid}).")
    examination = Examination(settings, app=app, api_url=_api_of(settings, attached))
    try:
        yield from examination.findings()
    finally:
        examination.close()


def _api_of(settings: Settings, attached: Attached | None) -> str | None:
    """Return where the HTTP API is to be: that of `wfe dev`, else the one that the settings speak of."""
    if attached is not None:
        return attached.links.get("API")
    if not settings.api_port or not {"api_host", "api_port"} & settings.model_fields_set:
        return None
    host = LOOPBACK if settings.api_host in _EVERYWHERE else settings.api_host
    return f"http://[{host}]:{settings.api_port}" if ":" in host else f"http://{host}:{settings.api_port}"


def _dev_in_use(settings: Settings) -> Attached | None:
    """Return the running `wfe dev`, if its servers are those of the settings."""
    running = find_running()
    return running if running is not None and running.database_url == settings.database_url else None


def _load(app: str | None) -> Celery | None:
    if app is None:
        return None
    try:
        return find_app(app)
    except (ImportError, AttributeError) as error:
        raise click.BadParameter(f"cannot load {app!r}: {error}", param_hint="'--app'") from error


def _print(shown: Sequence[Finding], found: Sequence[Finding]) -> None:
    table = Table.grid(padding=(0, 2, 0, 0))
    for _ in range(2):
        table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for each in shown:
        advice = "" if each.advice is None else f"\n-> {each.advice}"
        about = Text.assemble(each.sentence, (advice, "dim"))
        table.add_row(Text(each.level, _STYLES[each.level]), Text(each.check, "bold"), about)
    if shown:
        print_rich(table)
    numbers = Counter(each.level for each in found)
    click.echo(f"{numbers[Level.ERROR]} errors, {numbers[Level.WARNING]} warnings, {numbers[Level.OK]} fine")

"""``wfe runs list``: find runs by what they are, and where they stand."""

from collections.abc import Callable, Sequence
from typing import Any, Final, TypeVar

import click
from rich.text import Text

from workflow_engine.cli.engines import engine_here
from workflow_engine.cli.output import (
    as_json_option,
    as_values,
    describe_error,
    drawing_width,
    length,
    moment_briefly,
    print_json,
    print_table,
    state,
    yielding,
)
from workflow_engine.cli.stale import list_stale
from workflow_engine.cli.submit import parse_json, time_of
from workflow_engine.client.client import WorkflowClient
from workflow_engine.model.pages import PAGE_LIMIT, Page
from workflow_engine.model.records import RunSummary
from workflow_engine.model.run import RunState
from workflow_engine.model.run_filter import RunOrder

_WIDTH_FOR_ALL: Final = 100
"""On a narrower terminal a list of runs says only what it can say in full."""
_MOMENTS: Final = ("created_after", "created_before", "finished_after", "finished_before", "due_before")
Command = TypeVar("Command", bound=Callable[..., Any])

_FILTER_OPTIONS: Final = (
    click.option(
        "--state",
        "states",
        multiple=True,
        type=click.Choice([each.value for each in RunState]),
        help="In this state; repeated: in any of them.",
    ),
    click.option("--workflow", help="Of this workflow."),
    click.option("--version", help="Of this version of --workflow."),
    click.option("--tag", "tags", multiple=True, help="With this tag; repeated: with all of them."),
    click.option("--metadata", metavar="JSON", help='With this in its metadata, however deep: {"region": "eu"}.'),
    click.option("--agent", help="For this agent."),
    click.option("--initiator", help="Submitted by."),
    click.option("--correlation-id", help="With this correlation id."),
    click.option("--key", "idempotency_key", help="With this idempotency key."),
    click.option("--schedule", help="Occurrences of this schedule."),
    click.option("--rerun-of", metavar="RUN_ID", help="Reruns of this run."),
    click.option("--title", metavar="TEXT", help="With this text in the title."),
    *(
        click.option(f"--{name.replace('_', '-')}", metavar="TIME", help=f"{name.replace('_', ' ').capitalize()} TIME.")
        for name in _MOMENTS
    ),
)


def filter_options(command: Command) -> Command:
    """Give a command the options that say which runs are meant."""
    for option in reversed(_FILTER_OPTIONS):
        command = option(command)
    return command


def said_of_runs(options: dict[str, Any]) -> dict[str, Any]:
    """Return what was said about which runs are meant, for the client."""
    given = {name: value for name, value in options.items() if value not in (None, ())}
    if "metadata" in given:
        given["metadata"] = parse_json("--metadata", given["metadata"])
    return {name: time_of(name, value) if name in _MOMENTS else value for name, value in given.items()}


@click.command("list")
@filter_options
@click.option("--limit", type=click.IntRange(1, PAGE_LIMIT), default=20, show_default=True, help="How many.")
@click.option("--cursor", help="Go on where a list with the same filter and order ended; it said how.")
@click.option("--paged", is_flag=True, help="With --json: print an object with items and next, the cursor.")
@click.option("--oldest", is_flag=True, help="The oldest first.")
@click.option("--with-input", is_flag=True, help="With --json: each with its input.")
@click.option("--stale", is_flag=True, help="Only runs of which nothing has moved for long, the oldest first, and why.")
@as_json_option
def list_runs(
    limit: int,
    cursor: str | None,
    paged: bool,
    oldest: bool,
    with_input: bool,
    stale: bool,
    as_json: bool,
    **options: Any,
) -> None:
    """List runs that fit all that is said, the newest first.

    \b
      wfe runs list --state failed --workflow orders --created-after 2030-01-31T12:00:00Z
    """
    wanted = said_of_runs(options)
    if stale:
        if wanted or cursor or oldest or with_input or paged:
            raise click.UsageError("--stale goes with --limit and --json only")
        list_stale(limit, as_json)
        return
    order = RunOrder.OLDEST if oldest else RunOrder.NEWEST
    with engine_here() as engine:
        page = _filled(engine.client, limit, cursor, {"order": order, "with_input": with_input, **wanted})
    if as_json:
        items = [as_values(run) for run in page.items]
        print_json({"items": items, "next": page.next} if paged else items)
    else:
        _print(page)
    if page.next is not None and not paged:
        click.echo(f"more: --cursor {page.next}", err=True)


def _filled(client: WorkflowClient, limit: int, cursor: str | None, wanted: dict[str, Any]) -> Page[RunSummary]:
    """Return a page as long as it may be: on the way through many runs that do not fit, one may be short."""
    found: list[RunSummary] = []
    while True:
        page = client.page_runs(limit=limit - len(found), cursor=cursor, **wanted)
        found += page.items
        cursor = page.next
        if cursor is None or len(found) == limit:
            return Page(items=found, next=cursor)


def _print(page: Page[RunSummary]) -> None:
    if not page.items:
        click.echo("no runs")
        return
    columns = ["RUN", "WORKFLOW", "STATE", "SUBMITTED", "TOOK", "ABOUT"]
    columns = columns if drawing_width() >= _WIDTH_FOR_ALL else columns[:-1]
    print_table(columns, [_row(run)[: len(columns)] for run in page.items], giving_way=["WORKFLOW", "ABOUT"])


def _row(run: RunSummary) -> Sequence[str | Text]:
    took = length(run.started_at, run.finished_at)
    about = yielding(run.title or describe_error(run.error))
    return [run.id, yielding(run.workflow), state(run.state), moment_briefly(run.created_at), took, about]

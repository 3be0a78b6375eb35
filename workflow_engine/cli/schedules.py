"""``wfe schedules``: what starts runs again and again."""

import sys
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import click

from workflow_engine.cli.actor import actor_option
from workflow_engine.cli.engines import engine_here
from workflow_engine.cli.output import (
    as_json_option,
    as_values,
    moment,
    print_facts,
    print_json,
    print_table,
    yielding,
)
from workflow_engine.cli.submit import or_defaults, parse_json, time_of
from workflow_engine.client.schedules import PAGE_LIMIT, UNCHANGED
from workflow_engine.definitions.policies import Priority
from workflow_engine.model.schedule import CatchUp, OccurrenceRecord, Overlap, ScheduleRecord

_NEWEST = "newest"
_SHOWN = 10
"""Occurrences, past and coming, that one schedule is shown with."""


def _settings(command: Callable[..., None]) -> Callable[..., None]:
    """What a schedule is made of, for commands that make or change one."""
    for option in reversed(
        [
            click.option("--cron", metavar="EXPRESSION", help="Minute, hour, day, month, weekday: '30 6 * * 1-5'."),
            click.option("--rrule", metavar="RULE", help="RFC 5545: 'FREQ=MONTHLY;BYDAY=-1FR;BYHOUR=18;BYMINUTE=0'."),
            click.option("--time-zone", metavar="ZONE", help="Where the rule's clock hangs: Europe/Berlin.  [UTC]"),
            click.option("--start", metavar="TIME", help="ISO 8601; nothing before it."),
            click.option("--end", metavar="TIME", help="ISO 8601; nothing after it."),
            click.option(
                "--catch-up",
                type=click.Choice([each.value for each in CatchUp]),
                help="What was missed while nobody was there.  [latest]",
            ),
            click.option(
                "--overlap",
                type=click.Choice([each.value for each in Overlap]),
                help="If an earlier run goes on.  [allow]",
            ),
            click.option("--input", "text", metavar="JSON", help="What the steps of every run get as ctx.input."),
            click.option("--version", help=f"Of the workflow; `{_NEWEST}` is that of each run's time.  [{_NEWEST}]"),
            click.option("--title", help="A line for people."),
            click.option("--description", help="More for people."),
            click.option("--tag", "tags", multiple=True, help="May be repeated."),
            click.option("--metadata", metavar="JSON", help="An object to find the runs by."),
            click.option("--priority", type=click.Choice([each.value for each in Priority]), help="Of every run."),
            click.option("--agent", help="Whom the runs are for."),
        ]
    ):
        command = option(command)
    return command


@click.group()
def schedules() -> None:
    """Start runs again and again: make, list, change, pause and delete schedules."""


@schedules.command()
@click.argument("name")
@click.argument("workflow")
@_settings
@actor_option
@as_json_option
def create(name: str, workflow: str, as_json: bool, **values: Any) -> None:
    """Start runs of WORKFLOW by schedule NAME.

    \b
      wfe schedules create nightly report --cron '0 6 * * 1-5' --time-zone Europe/Berlin --overlap skip
    """
    given = _given(values)
    value = parse_json("--input", given.pop("text")) if "text" in given else None
    with engine_here(with_workflows=True) as engine:
        value = or_defaults(engine, workflow, value, given.get("version"))
        made = engine.client.schedules.create(name, workflow, value, **given)
    _say(made, "created", as_json=as_json)


@schedules.command()
@click.argument("name")
@_settings
@actor_option
@as_json_option
def update(name: str, as_json: bool, **values: Any) -> None:
    """Change some of schedule NAME, at once; what is not named stays as it is."""
    given = _given(values)
    value = parse_json("--input", given.pop("text")) if "text" in given else UNCHANGED
    if values["version"] == _NEWEST:
        given["version"] = None
    if given.keys() == {"actor"} and value is UNCHANGED:
        raise click.UsageError("say what to change")
    with engine_here(with_workflows=True) as engine:
        changed = engine.client.schedules.update(name, input=value, **given)
    _say(changed, "updated", as_json=as_json)


@schedules.command("list")
@click.option("--workflow", help="Only schedules of this workflow.")
@click.option("--after", metavar="NAME", help="Only names after this one: the next page.")
@click.option("--limit", type=click.IntRange(1, PAGE_LIMIT), default=50, show_default=True, help="How many.")
@as_json_option
def list_schedules(workflow: str | None, after: str | None, limit: int, as_json: bool) -> None:
    """List schedules by name."""
    with engine_here() as engine:
        found = engine.client.schedules.list(workflow=workflow, after=after, limit=limit)
    if as_json:
        print_json([as_values(each) for each in found])
    elif found:
        columns = ["SCHEDULE", "WORKFLOW", "RULE", "ZONE", "NEXT", "LAST"]
        print_table(columns, [_row(each) for each in found], giving_way=["WORKFLOW", "RULE"])
        if len(found) == limit:
            click.echo(f"the next page: --after {found[-1].name}", err=True)
    else:
        click.echo("no schedules")


@schedules.command()
@click.argument("name")
@as_json_option
def show(name: str, as_json: bool) -> None:
    """Show schedule NAME, and what became of its last occurrences."""
    with engine_here() as engine:
        found = engine.client.schedules.get(name)
        past = engine.client.schedules.occurrences(name, limit=_SHOWN)
    if as_json:
        print_json(as_values(found) | {"occurrences": [as_values(each) for each in past]})
        return
    print_facts(_facts(found))
    if past:
        click.echo()
        print_table(["OCCURRENCE", "UNTIL", "RUN"], [_past(each) for each in past])


@schedules.command()
@click.argument("name")
@click.option("--count", type=click.IntRange(1, PAGE_LIMIT), default=_SHOWN, show_default=True, help="How many.")
@as_json_option
def next(name: str, count: int, as_json: bool) -> None:  # noqa: A001  the word of the command line
    """Show the next occurrences of schedule NAME, in its own time and in UTC; also of a paused one."""
    with engine_here() as engine:
        found = engine.client.schedules.get(name)
        coming = engine.client.schedules.next(name, count)
    place = ZoneInfo(found.time_zone)
    if as_json:
        print_json([{"local": each.astimezone(place), "utc": each} for each in coming])
    elif coming:
        rows = [[_in(each, place), f"{each:%Y-%m-%d %H:%M:%S}"] for each in coming]
        print_table([found.time_zone.upper(), "UTC"], rows)
        if found.paused_at is not None:
            click.echo(f"{name} is paused: it lets them pass until it is resumed", err=True)
    else:
        click.echo("no more occurrences")


@schedules.command()
@click.argument("name")
@actor_option
@as_json_option
def pause(name: str, actor: str, as_json: bool) -> None:
    """Let schedule NAME rest; what comes due until it is resumed is not made up for."""
    with engine_here() as engine:
        paused = engine.client.schedules.pause(name, actor=actor)
    _say(paused, "paused", as_json=as_json)


@schedules.command()
@click.argument("name")
@actor_option
@as_json_option
def resume(name: str, actor: str, as_json: bool) -> None:
    """Let schedule NAME go on with its next occurrence."""
    with engine_here() as engine:
        resumed = engine.client.schedules.resume(name, actor=actor)
    _say(resumed, "resumed", as_json=as_json)


@schedules.command()
@click.argument("name")
@click.option("--yes", is_flag=True, help="Do not ask.")
@actor_option
@as_json_option
def delete(name: str, yes: bool, actor: str, as_json: bool) -> None:
    """Forget schedule NAME and what became of its occurrences; its runs go on."""
    if not yes and sys.stdin.isatty():
        click.confirm(f"Delete {name}?", abort=True)
    with engine_here() as engine:
        engine.client.schedules.delete(name, actor=actor)
    if as_json:
        print_json({"schedule": name, "deleted": True})
    else:
        click.echo(f"deleted {name}")


def _given(values: dict[str, Any]) -> dict[str, Any]:
    given = {name: value for name, value in values.items() if value not in {None, ()}}
    if "metadata" in given:
        given["metadata"] = parse_json("--metadata", given["metadata"])
    for name in ("start", "end"):
        if name in given:
            given[name] = time_of(name, given[name])
    if given.get("version") == _NEWEST:
        del given["version"]
    return given


def _say(schedule: ScheduleRecord, done: str, *, as_json: bool) -> None:
    if as_json:
        print_json(as_values(schedule))
    else:
        click.echo(f"{done} {schedule.name}; next: {_next_of(schedule)}")


def _row(schedule: ScheduleRecord) -> Sequence[Any]:
    return [
        schedule.name,
        yielding(schedule.workflow),
        yielding(schedule.cron or schedule.rrule or ""),
        schedule.time_zone,
        _next_of(schedule),
        "" if schedule.last_at is None else _in(schedule.last_at, ZoneInfo(schedule.time_zone)),
    ]


def _facts(schedule: ScheduleRecord) -> dict[str, Any]:
    return {
        "schedule": schedule.name,
        "workflow": f"{schedule.workflow} {schedule.version or '(the newest version)'}",
        "cron": schedule.cron,
        "rrule": schedule.rrule,
        "zone": schedule.time_zone,
        "start": moment(schedule.starts_at) or None,
        "end": moment(schedule.ends_at) or None,
        "catch up": schedule.catch_up.value,
        "overlap": schedule.overlap.value,
        "next": _next_of(schedule),
        "created": moment(schedule.created_at),
    }


def _past(occurrence: OccurrenceRecord) -> list[str]:
    until = "" if occurrence.until == occurrence.occurs_at else moment(occurrence.until)
    return [moment(occurrence.occurs_at), until, occurrence.run_id or f"skipped: {occurrence.skipped}"]


def _next_of(schedule: ScheduleRecord) -> str:
    if schedule.paused_at is not None:
        return "paused"
    return "ended" if schedule.next_at is None else _in(schedule.next_at, ZoneInfo(schedule.time_zone))


def _in(at: datetime, place: ZoneInfo) -> str:
    return f"{at.astimezone(place):%Y-%m-%d %H:%M:%S %Z}"

"""``wfe subscribers``: how far durable subscribers are; deliver again; forget those that are gone."""

import sys
from datetime import datetime

import click

from workflow_engine.cli.actor import actor_option
from workflow_engine.cli.engines import engine_here
from workflow_engine.cli.output import as_json_option, as_values, length, print_json, print_table
from workflow_engine.relay.commands import ForgetSubscriber, ReplaySubscriber
from workflow_engine.store.cursors import CursorRecord

_FORMATS = [
    "%Y-%m-%dT%H:%M:%S%z",
    "%Y-%m-%dT%H:%M:%S.%f%z",
    "%Y-%m-%dT%H:%M:%S",
    "%Y-%m-%d %H:%M:%S",
    "%Y-%m-%dT%H:%M",
    "%Y-%m-%d %H:%M",
    "%Y-%m-%d",
]


@click.group()
def subscribers() -> None:
    """List durable subscribers; deliver events to them again; forget those that were removed."""


@subscribers.command("list")
@as_json_option
def list_subscribers(as_json: bool) -> None:
    """List the durable subscribers: how far each is, and who delivers to it."""
    with engine_here() as engine:
        found = engine.delivery_desk.subscribers()
    if as_json:
        print_json([as_values(each) | {"lag": each.lag} for each in found])
    elif found:
        columns = ["SUBSCRIBER", "POSITION", "BEHIND", "SINCE", "PARKED", "DEAD", "RELAY"]
        print_table(columns, [_row(each) for each in found])
    else:
        click.echo("no durable subscriber was ever delivered to; `wfe relay` delivers to those of WFE_SUBSCRIBERS")


@subscribers.command()
@click.argument("name")
@click.option("--from-position", type=click.IntRange(min=0), help="Deliver what comes after this place of the log.")
@click.option("--from-time", type=click.DateTime(_FORMATS), help="Deliver what occurred since; local time if no zone.")
@actor_option
@as_json_option
def replay(name: str, from_position: int | None, from_time: datetime | None, actor: str, as_json: bool) -> None:
    """Deliver events to subscriber NAME again, also while a relay delivers to it.

    Its dead letters after that place come again, too.
    """
    if (from_position is None) == (from_time is None):
        raise click.UsageError("give either --from-position or --from-time")
    since = None if from_time is None else from_time.astimezone()
    with engine_here() as engine:
        command = ReplaySubscriber(subscriber=name, actor=actor, after_position=from_position, since=since)
        position = engine.delivery_desk.replay(command)
    if as_json:
        print_json({"subscriber": name, "position": position})
    else:
        click.echo(f"{name} gets what comes after position {position}")


@subscribers.command()
@click.argument("name")
@click.option("--yes", is_flag=True, help="Do not ask.")
@actor_option
@as_json_option
def forget(name: str, yes: bool, actor: str, as_json: bool) -> None:
    """Forget subscriber NAME, which was removed for good: its place in the log, its dead letters, its parked events.

    First remove it from the settings of every relay, and start these anew. Until it is forgotten, its lag is shown and
    partitions are kept for it; if it comes back later, it begins as a new one does.
    """
    if not yes and sys.stdin.isatty():
        click.confirm(f"Forget {name}? Its dead letters and parked events are lost", abort=True)
    with engine_here() as engine:
        gone = engine.delivery_desk.forget(ForgetSubscriber(subscriber=name, actor=actor))
    if as_json:
        print_json({"subscriber": name} | as_values(gone))
    else:
        click.echo(f"forgot {name}, with {gone.dead} dead letters and {gone.parked} parked events")


def _row(cursor: CursorRecord) -> list[str]:
    relay = cursor.relay or "none"
    return [
        cursor.subscriber,
        str(cursor.position),
        str(cursor.lag),
        length(cursor.waiting_since, None),
        str(cursor.parked),
        str(cursor.dead),
        f"{relay}, rests: too many calls hang" if cursor.resting_since else relay,
    ]

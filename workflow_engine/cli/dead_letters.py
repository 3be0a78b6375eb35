"""``wfe dead-letters``: what subscribers failed on as often as they may."""

import uuid
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import click

from workflow_engine.cli.actor import actor_option
from workflow_engine.cli.engines import engine_here
from workflow_engine.cli.output import (
    as_json_option,
    as_values,
    moment,
    moment_briefly,
    print_facts,
    print_json,
    print_table,
    yielding,
)
from workflow_engine.errors import DeadLetterNotFound
from workflow_engine.relay.commands import DiscardDeliveries, RequeueDeliveries
from workflow_engine.store.deliveries import DeadLetter, DeadLetterFilter

_SUBSCRIBER = click.option("--subscriber", help="Only those of this subscriber.")


def _event_id(text: str) -> str:
    try:
        return str(uuid.UUID(text))
    except ValueError:
        raise click.BadParameter(
            f"{text!r} is not the id of an event: a UUID, as `wfe dead-letters list` shows it"
        ) from None


def _one_event_id(_ctx: click.Context, _parameter: click.Parameter, value: str) -> str:
    return _event_id(value)


def _event_ids(_ctx: click.Context, _parameter: click.Parameter, values: Sequence[str]) -> list[str]:
    return [_event_id(value) for value in values]


def _chosen(command: Callable[..., None]) -> Callable[..., None]:
    for option in (
        click.option("--all", "everything", is_flag=True, help="All of them."),
        click.option(
            "--event", "event_ids", multiple=True, callback=_event_ids, help="That of this event; repeatable."
        ),
        _SUBSCRIBER,
    ):
        command = option(command)
    return command


@click.group("dead-letters")
def dead_letters() -> None:
    """List, requeue and discard events that subscribers failed on."""


@dead_letters.command("list")
@_SUBSCRIBER
@click.option("--limit", type=click.IntRange(1, 10_000), default=50, show_default=True, help="How many.")
@as_json_option
def list_dead_letters(subscriber: str | None, limit: int, as_json: bool) -> None:
    """List dead letters, the oldest event first."""
    with engine_here() as engine:
        found = engine.delivery_desk.dead_letters(subscriber=subscriber, limit=limit)
    if as_json:
        print_json([as_values(each) for each in found])
    elif found:
        print_table(["SUBSCRIBER", "EVENT", "NAME", "FAILED", "TRIES", "ERROR"], [_row(each) for each in found])
    else:
        click.echo("no dead letters")


@dead_letters.command()
@click.argument("event_id", callback=_one_event_id)
@_SUBSCRIBER
@as_json_option
def show(event_id: str, subscriber: str | None, as_json: bool) -> None:
    """Show the dead letters of event EVENT_ID, with the event."""
    with engine_here() as engine:
        found = engine.delivery_desk.dead_letters(subscriber=subscriber, event_id=event_id)
    if not found:
        raise DeadLetterNotFound(f"there is no dead letter for event {event_id}")
    if as_json:
        print_json([as_values(each) for each in found])
        return
    for each in found:
        _show(each)


@dead_letters.command()
@_chosen
@actor_option
@as_json_option
def requeue(subscriber: str | None, event_ids: Sequence[str], everything: bool, actor: str, as_json: bool) -> None:
    """Deliver dead letters again, with all their tries before them."""
    wanted = _wanted(subscriber, event_ids, everything=everything)
    with engine_here() as engine:
        numbers = engine.delivery_desk.requeue(RequeueDeliveries(wanted=wanted, actor=actor))
    _print_numbers("requeued", numbers, as_json=as_json)


@dead_letters.command()
@_chosen
@actor_option
@as_json_option
def discard(subscriber: str | None, event_ids: Sequence[str], everything: bool, actor: str, as_json: bool) -> None:
    """Give dead letters up for good."""
    wanted = _wanted(subscriber, event_ids, everything=everything)
    with engine_here() as engine:
        numbers = engine.delivery_desk.discard(DiscardDeliveries(wanted=wanted, actor=actor))
    _print_numbers("discarded", numbers, as_json=as_json)


def _wanted(subscriber: str | None, event_ids: Sequence[str], *, everything: bool) -> DeadLetterFilter:
    named = bool(subscriber or event_ids)
    if named == everything:
        raise click.UsageError("say which: --subscriber, --event or both, or else --all")
    return DeadLetterFilter(subscriber=subscriber, event_ids=list(event_ids) or None)


def _print_numbers(done: str, numbers: Counter[str], *, as_json: bool) -> None:
    if as_json:
        print_json({done: numbers.total(), "subscribers": dict(sorted(numbers.items()))})
        return
    for name, number in sorted(numbers.items()):
        click.echo(f"{done} {number} of {name}")


def _row(letter: DeadLetter) -> list[Any]:
    error = yielding(f"{letter.error_class}: {letter.message}")
    failed = moment_briefly(letter.failed_at)
    return [letter.subscriber, letter.event_id, letter.event_name, failed, str(letter.tries), error]


def _show(letter: DeadLetter) -> None:
    print_facts(
        {
            "subscriber": letter.subscriber,
            "event": letter.event_id,
            "name": letter.event_name,
            "run": letter.run_id,
            "position": str(letter.position),
            "tries": str(letter.tries),
            "failed": moment(letter.failed_at),
            "error": f"{letter.error_class}: {letter.message}",
        }
    )
    click.echo()
    print_json(letter.envelope)

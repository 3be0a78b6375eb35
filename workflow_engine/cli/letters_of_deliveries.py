"""What ``wfe dead-letters`` says of deliveries that were given up, and does with them."""

import uuid
from collections import Counter
from collections.abc import Sequence
from typing import Any

import click

from workflow_engine.cli.output import as_values, moment, moment_briefly, print_facts, print_json, print_table, yielding
from workflow_engine.errors import DeadLetterNotFound
from workflow_engine.relay.commands import DeliveryDesk, DiscardDeliveries, RequeueDeliveries
from workflow_engine.store.deliveries import DeadLetter, DeadLetterFilter

LIMIT = 10_000
"""Dead letters that a dry run counts."""


def event_id(text: str) -> str:
    """Return an event's id in its usual form."""
    try:
        return str(uuid.UUID(text))
    except ValueError:
        raise click.BadParameter(
            f"{text!r} is not the id of an event: a UUID, as `wfe dead-letters list` shows it"
        ) from None


def as_json(letter: DeadLetter) -> dict[str, Any]:
    """Return a dead letter as values for JSON."""
    return {"kind": "delivery", "id": letter.event_id, **as_values(letter)}


def print_letters(letters: Sequence[DeadLetter]) -> None:
    """Print a table."""
    print_table(["SUBSCRIBER", "EVENT", "NAME", "FAILED", "TRIES", "ERROR"], [_row(each) for each in letters])


def show(desk: DeliveryDesk, name: str, subscriber: str | None, *, json: bool) -> None:
    """Print the dead letters of an event, with the event.

    Raises:
        DeadLetterNotFound: there is none.
    """
    found = desk.dead_letters(subscriber=subscriber, event_id=name)
    if not found:
        raise DeadLetterNotFound(f"there is no dead letter for event {name}")
    if json:
        print_json([as_json(each) for each in found])
        return
    for each in found:
        _show(each)


def act(desk: DeliveryDesk, act: str, wanted: DeadLetterFilter, actor: str, *, dry_run: bool) -> Counter[str]:
    """Requeue or discard deliveries; return how many of each subscriber: of a dry run, how many it would be.

    Raises:
        DeadLetterNotFound: none is as wanted.
    """
    if dry_run:
        found = desk.dead_letters(subscriber=wanted.subscriber, limit=LIMIT)
        return Counter(
            each.subscriber for each in found if wanted.event_ids is None or each.event_id in wanted.event_ids
        )
    if act == "requeue":
        return desk.requeue(RequeueDeliveries(wanted=wanted, actor=actor))
    return desk.discard(DiscardDeliveries(wanted=wanted, actor=actor))


def print_numbers(done: str, numbers: Counter[str], *, json: bool) -> None:
    """Say how many of each subscriber."""
    if json:
        print_json({done.replace(" ", "_"): numbers.total(), "subscribers": dict(sorted(numbers.items()))})
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

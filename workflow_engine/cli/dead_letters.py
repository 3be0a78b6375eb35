"""``wfe dead-letters``: steps that failed for good, and what subscribers failed on as often as they may."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import click

from workflow_engine.cli import letters_of_deliveries, letters_of_steps
from workflow_engine.cli.actor import actor_option
from workflow_engine.cli.engines import engine_here
from workflow_engine.cli.failures import FAILURE
from workflow_engine.cli.letters_of_steps import DONE, Wanted
from workflow_engine.cli.output import as_json_option, print_json
from workflow_engine.model.dead_letters import DeadLetterState
from workflow_engine.store.deliveries import DeadLetterFilter

STEP: Final = "step"
DELIVERY: Final = "delivery"
WHICH: Final = (
    "say which: --subscriber, --event or both, or else --all; "
    "of steps: RUN/STEP, or some of --workflow, --step, --error and --run, or else --kind step --all"
)

_KIND = click.option("--kind", type=click.Choice([STEP, DELIVERY]), help="Only steps, or only deliveries.")
_SUBSCRIBER = click.option("--subscriber", help="Only deliveries to this subscriber.")


def _options(*options: Callable[..., Any]) -> Callable[[Callable[..., None]], Callable[..., None]]:
    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        for option in reversed(options):
            command = option(command)
        return command

    return decorate


_of_steps = _options(
    click.option("--workflow", help="Only steps of this workflow."),
    click.option("--step", help="Only steps of this name."),
    click.option("--error", "error_class", help="Only steps whose last error was of this class."),
    click.option("--run", help="Only steps of this run."),
)


def _event_ids(_ctx: click.Context, _parameter: click.Parameter, values: Sequence[str]) -> list[str]:
    return [letters_of_deliveries.event_id(value) for value in values]


_chosen = _options(
    click.argument("ids", nargs=-1, metavar="[RUN/STEP | EVENT]..."),
    _KIND,
    _of_steps,
    _SUBSCRIBER,
    click.option(
        "--event", "event_ids", multiple=True, callback=_event_ids, help="The deliveries of this event; repeatable."
    ),
    click.option("--all", "everything", is_flag=True, help="All deliveries; with --kind step all steps."),
    click.option("--dry-run", is_flag=True, help="Say what would be done, and do nothing."),
    click.option("--reason", help="Why; of steps only, kept with each."),
    actor_option,
    as_json_option,
)


@click.group("dead-letters")
def dead_letters() -> None:
    """List, show, requeue and discard what was given up: steps that failed for good, deliveries to subscribers."""


@dead_letters.command("list")
@_KIND
@_of_steps
@_SUBSCRIBER
@click.option(
    "--state",
    "states",
    multiple=True,
    type=click.Choice([each.value for each in DeadLetterState]),
    help="Only steps in this state, by default dead; may be repeated.",
)
@click.option("--limit", type=click.IntRange(1, 10_000), default=50, show_default=True, help="How many of a kind.")
@as_json_option
def list_dead_letters(
    kind: str | None, subscriber: str | None, states: Sequence[str], limit: int, as_json: bool, **filters: str | None
) -> None:
    """List dead letters: of steps the newest first, of deliveries the oldest event first."""
    kinds = _kinds(kind, {**filters, "state": states}, {"subscriber": subscriber}) or {STEP, DELIVERY}
    with engine_here() as engine:
        states = states or [DeadLetterState.DEAD]
        wanted = {**filters, "states": states}
        steps = letters_of_steps.newest(engine.client.dead_letters, limit, wanted) if STEP in kinds else []
        desk = engine.delivery_desk
        deliveries = desk.dead_letters(subscriber=subscriber, limit=limit) if DELIVERY in kinds else []
    if as_json:
        print_json([*map(letters_of_steps.as_json, steps), *map(letters_of_deliveries.as_json, deliveries)])
        return
    if steps:
        letters_of_steps.print_letters(steps)
    if deliveries:
        click.echo(nl=bool(steps))
        letters_of_deliveries.print_letters(deliveries)
    if not steps and not deliveries:
        click.echo("no dead letters")


@dead_letters.command()
@click.argument("name", metavar="RUN/STEP | EVENT")
@_SUBSCRIBER
@as_json_option
def show(name: str, subscriber: str | None, as_json: bool) -> None:
    """Show the newest dead letter of a step, with its history; or those of an event, with the event."""
    of_a_step = "/" in name
    if of_a_step and subscriber:
        raise click.UsageError("--subscriber is about deliveries, and RUN/STEP is a step")
    event_id = name if of_a_step else letters_of_deliveries.event_id(name)
    with engine_here() as engine:
        if of_a_step:
            letters_of_steps.show(engine.client.dead_letters, name, json=as_json)
        else:
            letters_of_deliveries.show(engine.delivery_desk, event_id, subscriber, json=as_json)


@dead_letters.command()
@_chosen
@click.pass_context
def requeue(ctx: click.Context, /, **chosen: Any) -> None:
    """Run failed steps again, and what had ended because of them; or deliver events again; with all their tries."""
    _act(ctx, "requeue", **chosen)


@dead_letters.command()
@_chosen
@click.pass_context
def discard(ctx: click.Context, /, **chosen: Any) -> None:
    """Give dead letters up for good; the runs of steps stay as they are."""
    _act(ctx, "discard", **chosen)


def _act(ctx: click.Context, act: str, *, as_json: bool, **chosen: Any) -> None:
    of_steps = {name: chosen[name] for name in ("workflow", "step", "error_class", "run")}
    steps = [each for each in chosen["ids"] if "/" in each]
    events = [
        *chosen["event_ids"],
        *(letters_of_deliveries.event_id(each) for each in chosen["ids"] if "/" not in each),
    ]
    of_deliveries = {"subscriber": chosen["subscriber"], "event": events}
    kinds = _kinds(chosen["kind"], {**of_steps, "steps": steps}, of_deliveries)
    kind = kinds.pop() if kinds else DELIVERY
    if kind == DELIVERY and chosen["reason"]:
        raise click.UsageError("--reason is kept with steps, not with deliveries")
    named = [steps, any(of_steps.values())] if kind == STEP else [any(of_deliveries.values())]
    if sum(map(bool, [*named, chosen["everything"]])) != 1:
        raise click.UsageError(WHICH)
    with engine_here() as engine:
        if kind == STEP:
            said = {name: chosen[name] for name in ("dry_run", "reason", "actor")}
            wanted = Wanted(ids=steps, filter=of_steps, **said)
            if not letters_of_steps.act(engine.client.dead_letters, act, wanted, json=as_json):
                ctx.exit(FAILURE)
            return
        deliveries = DeadLetterFilter(subscriber=chosen["subscriber"], event_ids=events or None)
        dry_run = chosen["dry_run"]
        numbers = letters_of_deliveries.act(engine.delivery_desk, act, deliveries, chosen["actor"], dry_run=dry_run)
    done = f"would {act}" if dry_run else DONE[act]
    letters_of_deliveries.print_numbers(done, numbers, json=as_json)


def _kinds(kind: str | None, of_steps: Mapping[str, Any], of_deliveries: Mapping[str, Any]) -> set[str]:
    """Return the kinds that are meant; none if nothing was said of any.

    Raises:
        UsageError: something is said of steps and something of deliveries.
    """
    kinds = {kind} if kind else set()
    kinds |= {STEP} if any(of_steps.values()) else set()
    kinds |= {DELIVERY} if any(of_deliveries.values()) else set()
    if len(kinds) > 1:
        raise click.UsageError(
            "RUN/STEP, --workflow, --step, --error, --run and --state are about steps, EVENT, --event and "
            "--subscriber about deliveries: ask for one kind at a time"
        )
    return kinds

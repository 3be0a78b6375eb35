"""``wfe webhooks``: which endpoints events are posted to, and whether one takes them."""

from collections.abc import Mapping
from time import monotonic

import click

from workflow_engine.api_step import shown_url
from workflow_engine.cli.attaching import settings_here
from workflow_engine.cli.engines import engine_here
from workflow_engine.cli.failures import Failure, WrongUsage
from workflow_engine.cli.output import as_json_option, print_json, print_table
from workflow_engine.definitions.names import did_you_mean
from workflow_engine.subscribers.guarded_http import AddressRefused, NoAnswer
from workflow_engine.subscribers.webhook import EndpointGone, NotAccepted, WebhookSubscriber, webhooks_of


@click.group()
def webhooks() -> None:
    """List the endpoints that events are posted to; post a test event to one."""


@webhooks.command("list")
@as_json_option
def list_webhooks(as_json: bool) -> None:
    """List the webhooks of the settings: where they post to, and how far each is."""
    with engine_here() as engine:
        found = webhooks_of(engine.settings)
        cursors = {each.subscriber: each for each in engine.delivery_desk.subscribers()}
    rows = []
    for webhook in found:
        cursor, endpoint = cursors.get(webhook.name), webhook.endpoint
        rows.append(
            {
                "name": _name_of(webhook),
                "url": shown_url(endpoint.url),
                "events": list(endpoint.events),
                "namespace": endpoint.namespace,
                "subscriber": webhook.name,
                "lag": None if cursor is None else cursor.lag,
                "parked": None if cursor is None else cursor.parked,
                "dead": None if cursor is None else cursor.dead,
            }
        )
    if as_json:
        print_json(rows)
    elif rows:
        columns = ["WEBHOOK", "URL", "EVENTS", "NAMESPACE", "BEHIND", "PARKED", "DEAD"]
        print_table(columns, [_line(row) for row in rows])
    else:
        click.echo("there is no webhook; write a table [webhooks.NAME] into workflow_engine.toml")


@webhooks.command()
@click.argument("name")
@as_json_option
def test(name: str, as_json: bool) -> None:
    """Post a test event, `webhook.test`, to webhook NAME, signed as all are; exit 1 unless it is taken."""
    webhook = _found(name)
    webhook.opened()
    began = monotonic()
    try:
        code = webhook.test()
    except (NotAccepted, EndpointGone, NoAnswer, AddressRefused) as error:
        raise Failure(f"{name}: {error}") from None
    finally:
        webhook.closed()
    milliseconds = round((monotonic() - began) * 1_000)
    if as_json:
        print_json({"name": name, "code": code, "milliseconds": milliseconds})
    else:
        click.echo(f"{name} took it: {code} after {milliseconds} ms")


def _found(name: str) -> WebhookSubscriber:
    known = {_name_of(each): each for each in webhooks_of(settings_here())}
    if name not in known:
        there = f"; there are {', '.join(known)}" if known else "; there is none in the settings"
        raise WrongUsage(f"no webhook is named {name!r}{did_you_mean(name, known) or there}")
    return known[name]


def _name_of(webhook: WebhookSubscriber) -> str:
    return webhook.name.removeprefix("webhook_")


def _line(row: Mapping[str, object]) -> list[str]:
    events = row["events"]
    numbers = ["-" if row[each] is None else str(row[each]) for each in ("lag", "parked", "dead")]
    named = ", ".join(events) if isinstance(events, list) else ""
    return [str(row["name"]), str(row["url"]), named, str(row["namespace"] or "all"), *numbers]

"""``wfe events list``, ``show`` and ``schema``: the catalogue, for people and for programs; needs no server."""

import json
from collections.abc import Mapping
from typing import Any

import click

from workflow_engine.cli.failures import WrongUsage
from workflow_engine.cli.output import as_json_option, print_facts, print_json, print_table, print_text
from workflow_engine.definitions.names import did_you_mean
from workflow_engine.model.event_schemas import (
    asyncapi,
    catalogue_schema,
    description_of,
    event_schema,
    fields_of,
)
from workflow_engine.model.events import CATALOGUE, Payload


@click.command("list")
@as_json_option
def list_events(as_json: bool) -> None:
    """List the events of the catalogue: their names, when they fire, their versions."""
    if as_json:
        print_json([_as_values(payload) for payload in CATALOGUE.values()])
        return
    print_table(
        ["EVENT", "FIRES WHEN", "VERSION"],
        [[name, description_of(payload), str(payload.schema_version)] for name, payload in CATALOGUE.items()],
        giving_way=["FIRES WHEN"],
    )


@click.command()
@click.argument("name")
@click.option("--schema", "as_schema", is_flag=True, help="Print its JSON Schema instead.")
def show(name: str, as_schema: bool) -> None:
    """Describe event NAME: when it fires, who fires it, its fields, an example."""
    payload = _find(name)
    if as_schema:
        print_json(event_schema(name))
        return
    click.echo(click.style(name, bold=True) + f"  {description_of(payload)}\n")
    print_facts(
        {
            "version": str(payload.schema_version),
            "fired by": payload.fired_by,
            "how often": payload.frequency,
        }
    )
    click.echo()
    print_table(
        ["FIELD", "TYPE", "PRIVACY", "MEANING"],
        [[field.name, field.type, str(field.privacy), field.description] for field in fields_of(payload)],
        giving_way=["TYPE", "MEANING"],
    )
    print_text("\nexample: " + json.dumps(payload.example, indent=2, ensure_ascii=False))


@click.command()
@click.argument("name", required=False)
@click.option("--asyncapi", "as_asyncapi", is_flag=True, help="Print the whole catalogue as an AsyncAPI document.")
def schema(name: str | None, as_asyncapi: bool) -> None:
    """Print the JSON Schema of event NAME, or of the whole catalogue."""
    if name is not None and as_asyncapi:
        raise click.UsageError("NAME and --asyncapi exclude each other: the AsyncAPI document has every event")
    if name is not None:
        _find(name)
        print_json(event_schema(name))
    else:
        print_json(asyncapi() if as_asyncapi else catalogue_schema())


def _find(name: str) -> type[Payload]:
    found = CATALOGUE.get(name)
    if found is None:
        meant = did_you_mean(name, CATALOGUE)
        raise WrongUsage(f"event {name!r} is not in the catalogue{meant}: `wfe events list` shows what is")
    return found


def _as_values(payload: type[Payload]) -> Mapping[str, Any]:
    return {
        "name": payload.event,
        "version": payload.schema_version,
        "description": description_of(payload),
        "fired_by": payload.fired_by.split(", "),
        "frequency": payload.frequency,
        "fields": [
            {
                "name": field.name,
                "type": field.type,
                "privacy": field.privacy.value,
                "description": field.description,
            }
            for field in fields_of(payload)
        ],
        "example": payload.example,
    }

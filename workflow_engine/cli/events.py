"""``wfe events``: what can happen, and what does."""

import click

from workflow_engine.cli.lazy import LazyGroup


@click.group(
    "events",
    cls=LazyGroup,
    lazy={
        "list": ("workflow_engine.cli.event_catalogue:list_events", "List the events of the catalogue."),
        "show": ("workflow_engine.cli.event_catalogue:show", "Describe an event: when it fires, its fields."),
        "schema": ("workflow_engine.cli.event_catalogue:schema", "Print JSON Schema or AsyncAPI."),
        "tail": ("workflow_engine.cli.event_tail:tail", "Show the newest events; with -f go on."),
    },
)
def events() -> None:
    """Read the event catalogue and the event log."""

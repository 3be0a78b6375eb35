"""``wfe runs stats``: how many runs there were, how they ended and how long they took."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import click
from rich.text import Text

from workflow_engine.cli.engines import engine_here
from workflow_engine.cli.listing import filter_options, said_of_runs
from workflow_engine.cli.output import as_json_option, as_values, moment, print_facts, print_json, print_table, yielding
from workflow_engine.model.durations import duration
from workflow_engine.model.run import RunState
from workflow_engine.model.statistics import RunStatistics


@click.command("stats")
@filter_options
@as_json_option
def show_statistics(as_json: bool, **options: Any) -> None:
    """Count the runs that fit, of the last day unless told otherwise: by state, by workflow, by hour.

    \b
      wfe runs stats --created-after 2030-01-31T00:00:00Z --workflow orders
    """
    with engine_here() as engine:
        found = engine.client.statistics(**said_of_runs(options))
    if as_json:
        workflows = [as_values(each) for each in found.workflows]
        print_json(as_values(found) | {"workflows": workflows, "hours": [as_values(each) for each in found.hours]})
    else:
        _show(found)


def _show(found: RunStatistics) -> None:
    print_facts(
        {
            "submitted": f"{moment(found.since)} to {moment(found.until)}",
            "runs": f"{found.runs:,}" + ("" if found.complete else " of the newest: there are more"),
            "states": _states(found.states) or None,
            "took": _took(found.p50_seconds, found.p95_seconds) or None,
        }
    )
    if found.workflows:
        click.echo()
        rows: list[list[str | Text]] = [
            [yielding(each.workflow), f"{each.runs:,}", _took(each.p50_seconds, each.p95_seconds), _states(each.states)]
            for each in found.workflows
        ]
        print_table(["WORKFLOW", "RUNS", "TOOK", "STATES"], rows)
    if found.hours:
        click.echo()
        hours = [[moment(each.begin), f"{each.submitted:,}", f"{each.finished:,}"] for each in found.hours]
        print_table(["HOUR", "SUBMITTED", "FINISHED"], hours)


def _states(states: Mapping[RunState, int]) -> str:
    return ", ".join(f"{state} {states[state]:,}" for state in RunState if state in states)


def _took(p50: float | None, p95: float | None) -> str:
    if p50 is None or p95 is None:
        return ""
    return f"p50 {duration(timedelta(seconds=p50))}, p95 {duration(timedelta(seconds=p95))}"

"""``wfe runs list --stale``: what stands still, and why."""

import click

from workflow_engine.cli.engines import engine_here
from workflow_engine.cli.output import as_values, print_json, print_table, yielding
from workflow_engine.client.client import WorkflowClient
from workflow_engine.model.durations import duration
from workflow_engine.model.standstills import StaleRun


def list_stale(limit: int, as_json: bool) -> None:
    """Print up to ``limit`` runs of which nothing has moved for long."""
    with engine_here() as engine:
        found = _find(engine.client, limit)
    if as_json:
        print_json([as_values(run) | _in_seconds(run) for run in found])
    elif found:
        print_table(
            ["RUN", "WORKFLOW", "STANDS FOR", "LIMIT", "LEVEL", "WHY"],
            [
                [
                    run.run_id,
                    yielding(run.workflow),
                    duration(run.stands_for),
                    duration(run.limit),
                    _level(run),
                    yielding(run.sentence),
                ]
                for run in found
            ],
            giving_way=["WORKFLOW", "WHY"],
        )
    else:
        click.echo("no run stands still")


def _find(client: WorkflowClient, limit: int) -> list[StaleRun]:
    found, place = client.stale_runs(limit=limit)
    while place is not None and len(found) < limit:
        more, place = client.stale_runs(limit=limit - len(found), after=place)
        found += more
    return found


def _level(run: StaleRun) -> str:
    return "stale" if run.is_stale else "warning"


def _in_seconds(run: StaleRun) -> dict[str, object]:
    return {
        "stands_for": run.stands_for.total_seconds(),
        "limit": run.limit.total_seconds(),
        "level": _level(run),
    }

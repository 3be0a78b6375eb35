"""``wfe workers``: who runs steps."""

from datetime import timedelta

import click

from workflow_engine.cli.engines import engine_here
from workflow_engine.cli.output import as_json_option, as_values, print_json, print_table
from workflow_engine.model.durations import duration
from workflow_engine.model.workers import WorkerRecord


@click.group()
def workers() -> None:
    """List the workers."""


@workers.command("list")
@as_json_option
def list_workers(as_json: bool) -> None:
    """List the workers: their queues and pools, when they were last heard of, how many steps they hold.

    One that was silent for WFE_LEASE_SECONDS counts as dead: its steps are given to others. It is listed for a day.
    """
    with engine_here() as engine:
        found = engine.client.workers()
        lease = engine.settings.lease_seconds
    if as_json:
        print_json([as_values(each) | {"alive": each.silent_seconds < lease} for each in found])
    elif found:
        columns = ["WORKER", "POOL", "SIZE", "LAST HEARD OF", "STEPS", "QUEUES"]
        print_table(columns, [_row(each, lease) for each in found])
    else:
        click.echo("no worker was heard of within a day; `wfe worker` starts one")


def _row(worker: WorkerRecord, lease: float) -> list[str]:
    ago = f"{duration(timedelta(seconds=worker.silent_seconds))} ago"
    return [
        worker.name,
        worker.pool or "",
        "" if worker.concurrency is None else str(worker.concurrency),
        ago if worker.silent_seconds < lease else f"{ago}, dead",
        str(worker.steps_held),
        ", ".join(worker.queues),
    ]

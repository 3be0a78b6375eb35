"""``wfe runs``: list, show, explain, watch, signal; what changes a run is in ``lifecycle`` and ``rescheduling``."""

import click

from workflow_engine.cli.actor import actor_option
from workflow_engine.cli.bulk import bulk
from workflow_engine.cli.changing import delete, update
from workflow_engine.cli.engines import engine_here
from workflow_engine.cli.explaining import explain
from workflow_engine.cli.failures import FAILURE
from workflow_engine.cli.lifecycle import cancel, pause, rerun, resolve, resume, retry
from workflow_engine.cli.listing import list_runs
from workflow_engine.cli.output import (
    as_json_option,
    as_values,
    describe_error,
    length,
    moment,
    print_facts,
    print_json,
    state,
)
from workflow_engine.cli.rescheduling import describe_deadline, reschedule
from workflow_engine.cli.statistics import show_statistics
from workflow_engine.cli.submit import parse_json
from workflow_engine.cli.watching import follow, follow_as_json, print_steps, run_as_json
from workflow_engine.client.handle import RunHandle
from workflow_engine.model.durations import duration
from workflow_engine.model.run import RunState


@click.group()
def runs() -> None:
    """List, show, explain and watch runs; cancel, pause, retry, rerun, update or delete them; send them signals."""


runs.add_command(list_runs)
runs.add_command(bulk)
runs.add_command(show_statistics)
runs.add_command(explain)
runs.add_command(reschedule)
for command in (cancel, pause, resume, retry, rerun, resolve, update, delete):
    runs.add_command(command)


@runs.command()
@click.argument("run_id")
@as_json_option
def show(run_id: str, as_json: bool) -> None:
    """Show run RUN_ID: its steps, its error, its result."""
    with engine_here() as engine:
        run = engine.client.run(run_id)
        link = None if engine.flower is None else engine.flower.run(run.id)
        if as_json:
            steps = [as_values(step) for step in run.steps()]
            links = {} if link is None else {"flower": link}
            print_json(run_as_json(run) | {"result": run.result, "steps": steps, "links": links})
        else:
            _show(run, link)


@runs.command()
@click.argument("run_id")
@click.option("--timeout", type=click.FloatRange(min=0), metavar="SECONDS", help="Stop watching after that long.")
@click.option("--json", "as_json", is_flag=True, help="Print each event as a line of JSON, for programs.")
@click.pass_context
def watch(ctx: click.Context, run_id: str, timeout: float | None, as_json: bool) -> None:
    """Show the progress of run RUN_ID until it ends; exit 1 unless it succeeds."""
    with engine_here() as engine:
        run = engine.client.run(run_id)
        ended = follow_as_json(run, timeout) if as_json else follow(run, timeout)
        if ended is not RunState.SUCCEEDED:
            ctx.exit(FAILURE)


@runs.command("signal")
@click.argument("run_id")
@click.argument("name")
@click.option("--data", default="null", help="Its payload, as JSON.", show_default=True)
@click.option("--key", help="However often a signal with this key is sent, the run takes one.")
@actor_option
@as_json_option
def send_signal(run_id: str, name: str, data: str, key: str | None, actor: str, as_json: bool) -> None:
    """Give run RUN_ID the signal NAME: a step that waits for it goes on, now or when it comes to it."""
    payload = parse_json("--data", data)
    with engine_here() as engine:
        run = engine.client.run(run_id)
        taken = run.signal(name, payload, actor=actor, key=key)
    if as_json:
        print_json({"id": run.id, "signal": name, "taken": taken})
    else:
        click.echo(f"{run.id}  {name}" + ("" if taken else ": it had this one already"))


def _show(run: RunHandle, link: str | None) -> None:
    record = run.record
    print_facts(
        {
            "run": record.id,
            "workflow": f"{record.workflow} {record.version}",
            "state": state(record.state),
            "rerun of": record.rerun_of,
            "title": record.title,
            "tags": ", ".join(record.tags) or None,
            "key": record.idempotency_key,
            "submitted": moment(record.created_at),
            "deadline": describe_deadline(record),
            "timeout": None if record.timeout is None else duration(record.timeout),
            "took": length(record.started_at, record.finished_at) or None,
            "error": describe_error(record.error) or None,
            "flower": link,
        }
    )
    click.echo()
    print_steps(run.steps())

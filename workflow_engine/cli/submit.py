"""``wfe submit``: start a run, and wait for it if asked to."""

import json
from datetime import datetime
from pathlib import Path
from typing import Any

import click

from workflow_engine.bootstrap.engine import Engine
from workflow_engine.cli.actor import own_name
from workflow_engine.cli.engines import engine_here
from workflow_engine.cli.failures import FAILURE
from workflow_engine.cli.lengths import parse_length, parse_lengths
from workflow_engine.cli.output import as_json_option, print_json
from workflow_engine.cli.submitting_many import submit_lines
from workflow_engine.cli.watching import follow, run_as_json
from workflow_engine.client.handle import RunHandle
from workflow_engine.definitions.policies import Priority
from workflow_engine.model.run import RunState


@click.command()
@click.argument("name")
@click.option("--input", "text", metavar="JSON", help="What the steps get as ctx.input.")
@click.option("--input-file", type=click.Path(path_type=Path, allow_dash=True), help="Read it from a file; - is stdin.")
@click.option(
    "--inputs",
    type=click.Path(path_type=Path, allow_dash=True),
    help="A run for each line of JSON in this file; 1,000 of them together, or none.",
)
@click.option("--version", help="Of the workflow; the newest unless given.")
@click.option(
    "--key",
    "idempotency_key",
    help="Idempotency key: the same key always leads to the same run. With --inputs each has KEY-LINE for its own.",
)
@click.option("--title", help="A line for people.")
@click.option("--description", help="More for people.")
@click.option("--tag", "tags", multiple=True, help="May be repeated.")
@click.option("--metadata", metavar="JSON", help="An object to find the run by.")
@click.option("--priority", type=click.Choice([each.value for each in Priority]), help="Default: each step's own.")
@click.option("--correlation-id", help="Travels through logs and events; made up unless given.")
@click.option(
    "--actor",
    "--initiator",
    "initiator",
    default=own_name,
    show_default="user@host",
    help="Who submits.",
)
@click.option("--agent", help="Whom the run is for.")
@click.option("--due-at", metavar="TIME", help="ISO 8601 with a time zone: 2030-01-31T12:00:00Z.")
@click.option("--remind-before", metavar="LENGTHS", help="Tell so long before it is due: 1h,10m.")
@click.option("--run-timeout", metavar="LENGTH", help="It fails if it takes longer: 90s, 10m, 2h, 1d.")
@click.option("--scheduled-at", metavar="TIME", help="Do not start before.")
@click.option("--expires-in", type=float, metavar="SECONDS", help="Give up unless it has started by then.")
@click.option("--wait", is_flag=True, help="Show its progress until it ends; exit 1 unless it succeeds.")
@click.option("--timeout", type=click.FloatRange(min=0), metavar="SECONDS", help="With --wait: for how long.")
@as_json_option
def submit(
    name: str,
    text: str | None,
    input_file: Path | None,
    inputs: Path | None,
    wait: bool,
    timeout: float | None,
    as_json: bool,
    **options: Any,
) -> None:
    """Start a run of workflow NAME.

    \b
      wfe submit orders --input '{"order_id": 17}' --key order-17 --wait
      wfe submit orders --inputs orders.jsonl --key import-7
    """
    if timeout is not None and not wait:
        raise click.UsageError("--timeout goes with --wait")
    if inputs is not None:
        if wait or text is not None or input_file is not None:
            raise click.UsageError("--inputs goes without --input, --input-file and --wait")
        with engine_here(with_workflows=True) as engine:
            submit_lines(engine, name, inputs, _given(options), as_json=as_json)
        return
    value = _input(text, input_file)
    with engine_here(with_workflows=True) as engine:
        run = engine.client.submit(name, or_defaults(engine, name, value, options["version"]), **_given(options))
        if not wait:
            _say(run, as_json=as_json)
        elif _wait(run, timeout, as_json=as_json) is not RunState.SUCCEEDED:
            click.get_current_context().exit(FAILURE)


def _input(text: str | None, file: Path | None) -> Any:
    if text is not None and file is not None:
        raise click.UsageError("--input and --input-file exclude each other")
    if file is not None:
        text = _read(file)
    return None if text is None else parse_json("--input-file" if file else "--input", text)


def _read(file: Path) -> str:
    try:
        with click.open_file(str(file), encoding="utf-8") as stream:
            return str(stream.read())
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise click.UsageError(f"--input-file {file}: {reason}") from error


def parse_json(option: str, text: str) -> Any:
    """Return the value of an option that is JSON.

    Raises:
        click.UsageError: it is not.
    """
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise click.UsageError(f"{option} is not JSON: {error}") from error


def or_defaults(engine: Engine, name: str, value: Any, version: str | None) -> Any:
    """Without an input, let a workflow's own model fill in what it has defaults for."""
    if value is not None:
        return value
    namespace = engine.settings.namespace
    has_model = any(
        each.input_model is not None
        for each in engine.registry
        if each.name == name and each.namespace == namespace and version in {None, each.version}
    )
    return {} if has_model else None


def _given(options: dict[str, Any]) -> dict[str, Any]:
    given = {name: value for name, value in options.items() if value not in (None, ())}
    if "metadata" in given:
        given["metadata"] = parse_json("--metadata", given["metadata"])
    for name in ("due_at", "scheduled_at"):
        if name in given:
            given[name] = time_of(name, given[name])
    if "remind_before" in given:
        given["remind_before"] = parse_lengths("--remind-before", given["remind_before"])
    if "run_timeout" in given:
        given["timeout"] = parse_length("--run-timeout", given.pop("run_timeout"))
    return given


def time_of(name: str, text: str) -> datetime:
    """Return the value of an option that is a time, local unless it has a zone.

    Raises:
        click.UsageError: it is none.
    """
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise click.UsageError(f"--{name.replace('_', '-')}: {text!r} is not an ISO 8601 time") from None
    return moment if moment.tzinfo else moment.astimezone()


def _say(run: RunHandle, *, as_json: bool) -> None:
    if as_json:
        print_json(run_as_json(run) | {"created": run.created})
    else:
        click.echo(f"{run.id}  {'submitted' if run.created else 'was there already: ' + run.state}")


def _wait(run: RunHandle, timeout: float | None, *, as_json: bool) -> RunState:
    if as_json:
        state = run.wait(timeout).state
        print_json(run_as_json(run) | {"created": run.created, "result": run.result})
        return state
    return follow(run, timeout)

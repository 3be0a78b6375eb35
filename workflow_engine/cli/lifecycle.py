"""``wfe runs cancel|pause|resume|retry|rerun|resolve``: what may be asked of a run that is there."""

import click

from workflow_engine.cli.actor import actor_option
from workflow_engine.cli.engines import engine_here
from workflow_engine.cli.failures import FAILURE
from workflow_engine.cli.output import as_json_option, print_json
from workflow_engine.cli.submit import parse_json
from workflow_engine.client.handle import RunHandle
from workflow_engine.model.run import RunState

reason_option = click.option("--reason", help="Why; kept in the event log.")


@click.command()
@click.argument("run_id")
@reason_option
@click.option(
    "--grace",
    type=click.FloatRange(min=0, max=86_400),
    metavar="SECONDS",
    help="How long what runs may go on; by default the setting cancel_grace_seconds.",
)
@actor_option
@as_json_option
@click.pass_context
def cancel(ctx: click.Context, run_id: str, reason: str | None, grace: float | None, actor: str, as_json: bool) -> None:
    """Cancel run RUN_ID: what has not started never will, what runs may end. Exit 1 if the run had ended."""
    with engine_here() as engine:
        run = engine.client.run(run_id)
        done = run.cancel(reason, actor=actor, grace=grace)
        now = run.state
    if as_json:
        print_json({"id": run.id, "cancelled": done, "state": now})
    else:
        click.echo(f"{run.id}  {now}" + ("" if done else ": it had ended already"))
    if not done and now is not RunState.CANCELLED:
        ctx.exit(FAILURE)


@click.command()
@click.argument("run_id")
@reason_option
@actor_option
@as_json_option
def pause(run_id: str, reason: str | None, actor: str, as_json: bool) -> None:
    """Pause run RUN_ID: nothing more of it starts until it is resumed; what runs may end."""
    with engine_here() as engine:
        run = engine.client.run(run_id)
        _tell(run, run.pause(reason, actor=actor), "it was paused already", as_json)


@click.command()
@click.argument("run_id")
@reason_option
@actor_option
@as_json_option
def resume(run_id: str, reason: str | None, actor: str, as_json: bool) -> None:
    """Let the paused run RUN_ID go on."""
    with engine_here() as engine:
        run = engine.client.run(run_id)
        _tell(run, run.resume(reason, actor=actor), "it was not paused", as_json)


@click.command()
@click.argument("run_id")
@click.option("--step", "steps", multiple=True, help="Only this failed step; may be repeated.")
@reason_option
@actor_option
@as_json_option
def retry(run_id: str, steps: tuple[str, ...], reason: str | None, actor: str, as_json: bool) -> None:
    """Run what has failed of run RUN_ID again, and what ended because of it; the run goes on."""
    with engine_here() as engine:
        run = engine.client.run(run_id)
        retried = run.retry(steps, reason=reason, actor=actor)
        now = run.state
    if as_json:
        print_json({"id": run.id, "requeued": retried.requeued, "restored": retried.restored, "state": now})
    else:
        what = ", ".join(retried.requeued) or "nothing had failed"
        click.echo(f"{run.id}  {now}: {what}")


@click.command()
@click.argument("run_id")
@click.argument("step")
@click.option("--key", help="An idempotency key: the same one gives the same run, however often this is asked.")
@reason_option
@actor_option
@as_json_option
def rerun(run_id: str, step: str, key: str | None, reason: str | None, actor: str, as_json: bool) -> None:
    """Do STEP of run RUN_ID, which has ended, and all after it again, in a new run with the other steps' results."""
    with engine_here() as engine:
        run = engine.client.run(run_id).rerun(step, idempotency_key=key, reason=reason, actor=actor)
    if as_json:
        print_json({"id": run.id, "rerun_of": run_id, "created": run.created})
    else:
        click.echo(run.id + ("" if run.created else "  it was there already"))


@click.command()
@click.argument("run_id")
@click.argument("step")
@click.option("--result", required=True, metavar="JSON", help="What the steps after it get.")
@click.option("--reason", required=True, help="Why; kept in the event log.")
@actor_option
@as_json_option
def resolve(run_id: str, step: str, result: str, reason: str, actor: str, as_json: bool) -> None:
    """Say by hand what the result of STEP of run RUN_ID is; a run that had failed because of it goes on."""
    value = parse_json("--result", result)
    with engine_here() as engine:
        run = engine.client.run(run_id)
        _tell(run, run.resolve(step, value, reason=reason, actor=actor), "the step has that result already", as_json)


def _tell(run: RunHandle, changed: bool, otherwise: str, as_json: bool) -> None:
    state = run.state
    if as_json:
        print_json({"id": run.id, "changed": changed, "state": state})
    else:
        click.echo(f"{run.id}  {state}" + ("" if changed else f": {otherwise}"))

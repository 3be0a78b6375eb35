"""``wfe workflows``: which there are, and what they look like."""

from typing import Any

import click

from workflow_engine.bootstrap.engine import Engine
from workflow_engine.cli.attaching import settings_here, settings_if_any
from workflow_engine.cli.canvas import draw_canvas
from workflow_engine.cli.output import as_json_option, drawing_width, moment, print_json, print_table, print_text
from workflow_engine.definitions.names import did_you_mean
from workflow_engine.errors import WorkflowNotFound
from workflow_engine.plan.compiler import compile_plan
from workflow_engine.plan.drawing import draw, mermaid
from workflow_engine.plan.plan import Plan


@click.group()
def workflows() -> None:
    """List workflows and draw their graphs."""


@workflows.command("list")
@as_json_option
def list_workflows(as_json: bool) -> None:
    """List the workflows of WFE_WORKFLOWS, and every version the database knows."""
    settings = settings_if_any()
    if not settings.workflows and settings.database_url is None:
        settings_here()  # says what is missing
    engine = Engine(settings, application_name="wfe")
    rows = _loaded(engine)
    if settings.database_url is not None:
        rows |= _registered(engine, rows)
        engine.close()
    ordered = [rows[key] for key in sorted(rows)]
    if as_json:
        print_json(ordered)
    elif ordered:
        print_table(
            ["WORKFLOW", "VERSION", "STEPS", "LOADED HERE", "REGISTERED"],
            [
                [row["workflow"], row["version"], str(row["steps"]), _yes(row["loaded"]), moment(row["registered_at"])]
                for row in ordered
            ],
        )
    else:
        click.echo("no workflows: name their modules in WFE_WORKFLOWS")


@workflows.command()
@click.argument("name")
@click.option("--version", help="The newest unless given.")
@click.option("--mermaid", "form", flag_value="mermaid", help="Print a Mermaid flowchart.")
@click.option("--canvas", "form", flag_value="canvas", help="Print the Celery canvas that does the same work.")
@click.option("--json", "form", flag_value="json", help="Print the plan as JSON, for programs.")
def show(name: str, version: str | None, form: str | None) -> None:
    """Draw the graph of workflow NAME."""
    plan = find_plan(name, version)
    if form == "json":
        print_json({"namespace": plan.namespace, "workflow": plan.workflow, "version": plan.version} | plan.as_json())
    elif form == "mermaid":
        print_text(mermaid(plan))
    elif form == "canvas":
        print_text(draw_canvas(plan.canvas()))
    else:
        _show(plan)


def find_plan(name: str, version: str | None) -> Plan:
    """Return a workflow's plan: as it is loaded here, else as the database has it.

    Raises:
        WorkflowNotFound: neither knows it.
    """
    settings = settings_if_any()
    if not settings.workflows and settings.database_url is None:
        settings_here()  # says what is missing
    engine = Engine(settings, application_name="wfe")
    try:
        return compile_plan(engine.registry.get(name, namespace=settings.namespace, version=version))
    except WorkflowNotFound:
        if settings.database_url is None:
            raise
        return _find_registered(engine, name, version)


def _find_registered(engine: Engine, name: str, version: str | None) -> Plan:
    namespace = engine.settings.namespace
    with engine.store.single() as tx:
        found = tx.plans.find(name, namespace=namespace, version=version)
        known = {each.workflow for each in tx.views.workflows(namespace)} | {each.name for each in engine.registry}
    engine.close()
    if found is None:
        wanted = f"workflow {name!r}" + (f" version {version!r}" if version else "")
        raise WorkflowNotFound(f"{wanted} is not known{did_you_mean(name, known)}: `wfe workflows list` shows what is")
    return found.plan


def _show(plan: Plan) -> None:
    steps = "1 step" if len(plan) == 1 else f"{len(plan)} steps"
    click.echo(click.style(f"{plan.workflow} {plan.version}", bold=True) + f"  {steps}, on failure: {plan.on_failure}")
    if plan.description:
        click.echo(plan.description)
    click.echo()
    print_text(draw(plan, drawing_width()))


def _loaded(engine: Engine) -> dict[tuple[str, str], dict[str, Any]]:
    return {
        (each.name, each.version): {
            "workflow": each.name,
            "version": each.version,
            "namespace": each.namespace,
            "steps": len(each.steps),
            "description": each.description,
            "loaded": True,
            "registered_at": None,
        }
        for each in engine.registry
        if each.namespace == engine.settings.namespace
    }


def _registered(engine: Engine, loaded: dict[tuple[str, str], dict[str, Any]]) -> dict[tuple[str, str], dict[str, Any]]:
    with engine.store.single() as tx:
        known = tx.views.workflows(engine.settings.namespace)
    return {
        (each.workflow, each.version): {
            "workflow": each.workflow,
            "version": each.version,
            "namespace": each.namespace,
            "steps": each.steps,
            "description": "",
            "loaded": False,
        }
        | loaded.get((each.workflow, each.version), {})
        | {"registered_at": each.created_at}
        for each in known
    }


def _yes(value: bool) -> str:
    return "yes" if value else "no"

"""``wfe dev``: everything on this machine, until Ctrl-C."""

from pathlib import Path
from time import monotonic

import click

from workflow_engine.bootstrap.engine import Engine
from workflow_engine.cli.failures import one_line
from workflow_engine.cli.output import print_facts
from workflow_engine.cli.stack import Specification, Stack
from workflow_engine.config import Settings
from workflow_engine.embedded.attach import FOLDER_NAME, lock_path
from workflow_engine.embedded.folders import remove_tree
from workflow_engine.embedded.locking import is_held


@click.command()
@click.option("--workflows", metavar="A,B", help="Modules with workflows; instead of WFE_WORKFLOWS.")
@click.option("--folder", type=click.Path(path_type=Path, file_okay=False), default=FOLDER_NAME, help="For the data.")
@click.option("--concurrency", type=click.IntRange(min=1), help="Steps at a time; one for each processor unless given.")
@click.option("--keep-data/--no-keep-data", default=True, help="Keep the data (default), or start and end empty.")
def dev(workflows: str | None, folder: Path, concurrency: int | None, keep_data: bool) -> None:
    """Run PostgreSQL, Valkey, worker, coordinator, relay, API and Flower on free ports of this machine, until Ctrl-C.

    Nothing has to be installed or configured. Other commands in this folder, and below it, then use these servers. A
    server whose URL is set (WFE_DATABASE_URL, WFE_BROKER_URL) is used instead of started.
    """
    settings = Settings() if workflows is None else Settings(workflows=workflows)
    engine = Engine(settings)
    loaded = [f"{each.name} {each.version}" for each in engine.registry]  # mistakes show before anything runs
    for warning in engine.unknown_workflows():
        click.echo(f"warning: {warning}", err=True)
    folder = folder.absolute()
    if not keep_data:
        _forget(folder)
    began = monotonic()

    def announce(stack: Stack) -> bool:
        engine = stack.engine()
        try:
            is_up = stack.wait_until_up(engine)
        finally:
            engine.close()
        if is_up:
            _tell(stack, loaded, monotonic() - began)
        return is_up

    wanted = Specification(
        folder=folder,
        workflows=settings.workflows,
        concurrency=concurrency,
        database_url=settings.database_url,
        broker_url=settings.broker_url,
        metrics_port=settings.metrics_port,
        api_port=settings.api_port if "api_port" in settings.model_fields_set else None,
    )
    click.echo("starting PostgreSQL, Valkey, worker, coordinator, relay, API and Flower …")
    try:
        Stack(wanted, announce, say=lambda sentence: click.echo(one_line(sentence), err=True)).run()
    finally:
        if not keep_data:
            _forget(folder)
    click.echo("stopped")


def _forget(folder: Path) -> None:
    if not is_held(lock_path(folder)):  # else it is somebody else's, and starting says so
        for name in ("postgres", "broker", "logs"):
            remove_tree(folder / name)


def _tell(stack: Stack, loaded: list[str], seconds: float) -> None:
    click.echo(f"everything is up ({seconds:.1f} s)\n")
    print_facts(
        {
            "  API": stack.api,
            "  Flower": stack.flower_url,
            "  PostgreSQL": stack.urls.database_url,
            "  Broker": stack.urls.broker_url,
            "  Metrics": stack.metrics,
            "  Data and logs": str(stack.folder),
            "  Workflows": ", ".join(loaded) or "none: name their modules with --workflows",
        }
    )
    name = loaded[0].split()[0] if loaded else "NAME"
    click.echo(f"\nIn a second terminal, in this folder: wfe submit {name} --wait\nCtrl-C stops everything.")

"""``wfe demo``: boot everything, run real workflows, show what they made, stop everything."""

import os
import shutil
import sys
import tempfile
import webbrowser
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from time import monotonic
from typing import Any, Final

import click
from rich.text import Text

from workflow_engine.bootstrap.engine import Engine
from workflow_engine.cli.acts import Act, Performance, show_acts
from workflow_engine.cli.examples import MODULES, load_examples
from workflow_engine.cli.failures import INTERRUPTED, Failure, one_line
from workflow_engine.cli.output import drawing_width, print_facts, print_rich, print_text, waiting
from workflow_engine.cli.stack import Specification, Stack
from workflow_engine.embedded.attach import FOLDER_NAME
from workflow_engine.embedded.folders import usable
from workflow_engine.errors import WorkflowEngineError
from workflow_engine.model.run import RunState
from workflow_engine.plan.compiler import compile_plan
from workflow_engine.plan.drawing import draw

_SETTINGS: Final[Mapping[str, str]] = {"namespace": "default", "queue": "celery"}
"""Whatever the caller's own are."""


@click.command()
@click.option("--keep", is_flag=True, help="Stay up afterwards, until Ctrl-C, to look around in Flower.")
@click.option("--folder", type=click.Path(path_type=Path, file_okay=False), help="For data and reports; kept.")
@click.option("--browser/--no-browser", default=True, help="Open the report, if there is a desktop (default), or not.")
def demo(keep: bool, folder: Path | None, browser: bool) -> None:
    """Boot everything, run real workflows on real workers, show the results, stop everything.

    Nothing has to be installed or configured; servers of your own are not touched. The reports stay.
    """
    variables = {"PYTHONPATH": load_examples(), "WFE_CONFIG": ""}
    variables |= {f"WFE_{name.upper()}": value for name, value in _SETTINGS.items()}
    with _folders(folder) as (data, reports):
        wanted = Specification(
            folder=data,
            workflows=MODULES,
            variables=variables,
            working_folder=data,
            has_api=False,
            # one in the environment is for some other process; two of ours would both want it
            metrics_port=0 if "WFE_METRICS_PORT" in os.environ else None,
        )
        _Demo(wanted, reports, keep=keep, browser=browser).run()


class _Demo:
    """The demo as a story: boot, graphs, runs, results."""

    def __init__(self, wanted: Specification, reports: Path, *, keep: bool, browser: bool) -> None:
        self._reports = reports
        self._keep = keep
        self._browser = browser
        self._boot = waiting("starting PostgreSQL, Valkey, a Celery worker, a coordinator, a relay and Flower …")
        self._began = monotonic()
        self._stack = Stack(wanted, self._play, say=_say, then_stop=not keep)

    def run(self) -> None:
        """Tell it; fail unless every run ended as it should."""
        print_rich(Text("Workflow Engine demo", style="bold"))
        self._boot.start()
        try:
            self._stack.run()
        finally:
            self._boot.stop()
        if not self._stack.finished:
            click.get_current_context().exit(INTERRUPTED)
        click.echo("Everything is stopped; no process is left.")

    def _play(self, stack: Stack) -> bool:
        engine = stack.engine(**_SETTINGS)
        try:
            if not stack.wait_until_up(engine):
                return False
            self._boot.stop()
            took = monotonic() - self._began
            click.echo(f"PostgreSQL, Valkey, worker, coordinator, relay and Flower are up ({took:.1f} s)\n")
            _show_graphs(engine)
            runs = [Performance(act, engine.client) for act in _acts(self._reports, stack.folder)]
            if not show_acts(runs, stack):
                return False
            self._tell_results(runs)
            return True
        finally:
            engine.close()

    def _tell_results(self, runs: Sequence[Performance]) -> None:
        if wrong := [run.act.title for run in runs if not run.ended_as_meant]:
            raise Failure(f"not as it should be: {', '.join(wrong)}; see the logs in {self._stack.logs}")
        made = runs[0].result["write_report"]
        click.echo()
        print_facts(
            {
                "Counted": f"{made['files']:,} files, {made['lines']:,} lines, {made['functions']:,} functions",
                "Report": made["html"],
                "As JSON": made["json"],
                "Flower": self._stack.flower_url if self._keep else "ran too; `wfe demo --keep` stays up to show it",
            }
        )
        if self._keep:
            click.echo("Ctrl-C stops everything.")
        if self._browser and _has_desktop():
            webbrowser.open(Path(made["html"]).as_uri())


def _show_graphs(engine: Engine) -> None:
    for workflow in engine.registry:
        print_rich(Text(workflow.name, style="bold").append(f"  {workflow.description}", style="not bold"))
        print_text(draw(compile_plan(workflow), drawing_width()) + "\n")


def _acts(reports: Path, data: Path) -> list[Act]:
    ledger = str(data / "ledger")

    def order(number: int, card: str, ends: RunState = RunState.SUCCEEDED) -> Act:
        given: dict[str, Any] = {"order_id": number, "card": card, "folder": ledger}
        return Act(workflow="order_fulfilment", title=f"order {number}, {card} card", input=given, ends=ends)

    return [
        Act(workflow="source_census", title="source_census", input={"report_dir": str(reports)}),
        order(1, "good"),
        order(2, "flaky"),
        order(3, "declined", RunState.FAILED),
    ]


@contextmanager
def _folders(given: Path | None) -> Iterator[tuple[Path, Path]]:
    """Yield where data and reports go; without a folder of the caller's, the data is gone afterwards."""
    if given is not None:
        yield given.absolute(), _made(given.absolute() / "reports")
        return
    reports = _made(Path.cwd() / FOLDER_NAME / "demo")
    data = Path(tempfile.mkdtemp(prefix="wfe-demo-"))
    try:
        yield data, reports
    except (WorkflowEngineError, Failure):
        raise  # the logs in there say why
    except BaseException:
        shutil.rmtree(data, ignore_errors=True)
        raise
    shutil.rmtree(data)


def _made(folder: Path) -> Path:
    with usable(folder):
        folder.mkdir(parents=True, exist_ok=True)
        (folder / ".gitignore").write_text("*\n")
    return folder


def _has_desktop() -> bool:
    """Tell whether a browser would open in a window, not in this terminal."""
    windows = sys.platform == "darwin" or any(os.environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY"))
    return windows and sys.stdout.isatty()


def _say(sentence: str) -> None:
    click.echo(one_line(sentence), err=True)

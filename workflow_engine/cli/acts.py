"""Several runs at once, a line for each: what the demo shows."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from rich.live import Live
from rich.table import Table
from rich.text import Text

from workflow_engine.cli.actor import own_name
from workflow_engine.cli.output import console, describe_error, is_interactive, length, print_rich, state, yielding
from workflow_engine.cli.stack import Stack
from workflow_engine.cli.tracking import StepLine, Track
from workflow_engine.cli.watching import bar
from workflow_engine.client.client import WorkflowClient
from workflow_engine.client.run_tail import LOOK_SECONDS
from workflow_engine.model.run import RunState
from workflow_engine.model.step import StepState

_MOST_NAMES: Final = 3
_ACTIVE: Final = frozenset({StepState.RUNNING, StepState.RETRYING})


@dataclass(frozen=True, slots=True, kw_only=True)
class Act:
    """A run, and how it is meant to end."""

    workflow: str
    title: str
    input: Mapping[str, Any]
    ends: RunState = RunState.SUCCEEDED


class Performance:
    """An act that was submitted."""

    def __init__(self, act: Act, client: WorkflowClient) -> None:
        """Submit it."""
        self.act = act
        self.track = Track(client.submit(act.workflow, dict(act.input), title=act.title, initiator=own_name()))

    @property
    def ended_as_meant(self) -> bool:
        """Whether it is in the state it was meant to end in."""
        return self.track.record.state is self.act.ends

    @property
    def result(self) -> dict[str, Any]:
        """What it made."""
        return self.track.run.result

    def row(self) -> list[str | Text]:
        """Return it as cells: title, bar, count, state, time, remark."""
        track, record = self.track, self.track.record
        count = f"{track.done:>2}/{len(track.steps)}"
        took = length(record.started_at, record.finished_at)
        return [self.act.title, bar(track.done, len(track.steps)), count, state(record.state), took, self._remark()]

    def _remark(self) -> Text:
        record = self.track.record
        if record.error:
            meant = "as it should: " if self.ended_as_meant else ""
            return yielding(meant + describe_error(record.error), "dim" if meant else "red")
        busy = [_busy(step) for step in self.track.steps if step.state in _ACTIVE]
        if busy and not record.is_final:
            return yielding(", ".join(busy[:_MOST_NAMES]) + (" …" if len(busy) > _MOST_NAMES else ""), "cyan")
        again = [f"{step.name} took {step.attempt} attempts" for step in self.track.steps if step.attempt > 1]
        return yielding(", ".join(again), "dim")


def show_acts(runs: Sequence[Performance], stack: Stack) -> bool:
    """Show the runs until they have ended; False if everything is stopped before that."""
    return _show_live(runs, stack) if is_interactive() else _show_plain(runs, stack)


def _show_live(runs: Sequence[Performance], stack: Stack) -> bool:
    with Live(console=console(), auto_refresh=False) as live:
        while True:
            going = [run for run in runs if _goes_on(run)]
            live.update(_table(runs), refresh=True)
            if not going:
                return True
            if stack.is_stopping(LOOK_SECONDS):
                return False


def _show_plain(runs: Sequence[Performance], stack: Stack) -> bool:
    going = list(runs)
    while going:
        for run in [run for run in going if not _goes_on(run)]:
            going.remove(run)
            print_rich(_table([run], width=max(len(each.act.title) for each in runs)))
        if going and stack.is_stopping(LOOK_SECONDS):
            return False
    return True


def _goes_on(run: Performance) -> bool:
    if not run.track.record.is_final:
        run.track.look()
    return not run.track.record.is_final


def _table(runs: Sequence[Performance], width: int = 0) -> Table:
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True, min_width=width)
    for wide in (None, None, len(RunState.SUCCEEDED), None):
        table.add_column(no_wrap=True, min_width=wide)
    table.add_column()
    for run in runs:
        table.add_row(*run.row())
    return table


def _busy(step: StepLine) -> str:
    return step.name if step.state is StepState.RUNNING else f"{step.name} waits to be retried"

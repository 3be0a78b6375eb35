"""Following a run: a picture that redraws on a terminal, a line for each change elsewhere."""

import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from threading import Event as Flag
from time import monotonic
from typing import Any, Final

import click
from rich.console import Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from workflow_engine.cli.output import (
    as_values,
    console,
    describe_error,
    duration,
    is_interactive,
    length,
    print_json_line,
    print_table,
    print_text,
    state,
)
from workflow_engine.client.handle import RunHandle
from workflow_engine.errors import RunTimeout
from workflow_engine.model.records import EventRecord, RunRecord, StepRecord
from workflow_engine.model.run import RunState
from workflow_engine.model.step import FINAL_STEP_STATES, StepState

_LOOK_SECONDS: Final = 0.1
_CALM: Final = 10
"""A look at a large run takes its time; so many times longer is the pause before the next."""
_BAR_WIDTH: Final = 24
_LINES_BESIDE_STEPS: Final = 6

_CHANGES: Final[Mapping[str, str]] = {
    "step.started": "running",
    "step.completed": "succeeded",
    "step.retrying": "retrying",
    "step.lost": "lost",
    "step.released": "released",
    "step.failed": "failed",
    "step.skipped": "skipped",
    "step.cancelled": "cancelled",
}
"""The events a person wants a line for, and the word for each; those of the run itself are named by their end."""

_QUIET_STATES: Final = frozenset({StepState.WAITING, StepState.SUCCEEDED, StepState.SKIPPED})


def follow(run: RunHandle, timeout: float | None = None) -> None:
    """Show a run's progress until it ends.

    Raises:
        RunTimeout: it had not ended after ``timeout`` seconds; it goes on.
    """
    if is_interactive():
        with Live(console=console(), refresh_per_second=10, transient=True) as live:
            for record in looks(run, timeout):
                live.update(picture(record, run.steps(), live.console.height))
    else:
        for event in events(run, timeout):
            if (line := change_line(event)) is not None:
                print_text(line)


def follow_as_json(run: RunHandle, timeout: float | None = None) -> RunState:
    """Print each event of a run as a line of JSON until it ends; return how it did."""
    for event in events(run, timeout):
        print_json_line(as_values(event))
    return run.state


def looks(run: RunHandle, timeout: float | None = None) -> Iterator[RunRecord]:
    """Yield a run's row again and again; the last time when it has ended.

    Raises:
        RunTimeout: it had not ended after ``timeout`` seconds.
    """
    deadline = None if timeout is None else monotonic() + timeout
    while True:
        began = monotonic()
        record = run.record
        yield record
        if record.is_final:
            return
        if deadline is not None and monotonic() >= deadline:
            raise RunTimeout(run.id, record.state, timeout or 0.0)
        Flag().wait(max(_LOOK_SECONDS, min((monotonic() - began) * _CALM, 5.0)))


def events(run: RunHandle, timeout: float | None = None) -> Iterator[EventRecord]:
    """Yield a run's events, the past ones first, until it has ended and all are told."""
    last = 0
    for _ in looks(run, timeout):
        # The row was read first: what ended the run is in the log by now.
        while found := run.events(after=last):
            yield from found
            last = found[-1].id


def change_line(event: EventRecord) -> str | None:
    """Return an event as one line, or None for those that tell a person nothing."""
    at = event.occurred_at.astimezone().strftime("%H:%M:%S.%f")[:-3]
    if event.name in _CHANGES:
        attempt = f"attempt {event.attempt}" if event.attempt else ""
        words = [at, f"{event.step:<24}", f"{_CHANGES[event.name]:<9}", f"{attempt:<10}", _detail(event.data)]
        return "  ".join(words).rstrip()
    if event.name.startswith("run."):
        return f"{at}  run {event.name.removeprefix('run.')}  {_detail(event.data)}".rstrip()
    return None


def picture(record: RunRecord, steps: Sequence[StepRecord], height: int) -> RenderableType:
    """Return a run and its steps as they stand, no taller than a terminal of ``height`` lines."""
    shown = _most_telling(steps, height - _LINES_BESIDE_STEPS)
    parts: list[RenderableType] = [progress(record, steps), Text()]
    parts.append(_as_table(shown))
    if len(shown) < len(steps):
        parts.append(Text(f"… and {len(steps) - len(shown)} more steps", style="dim"))
    return Group(*parts)


def progress(record: RunRecord, steps: Sequence[StepRecord]) -> Text:
    """Return a run as one line: name, bar, how many steps, state, time."""
    done = sum(step.state in FINAL_STEP_STATES for step in steps)
    line = Text(record.workflow, style="bold")
    line.append("  ").append_text(bar(done, len(steps)))
    line.append(f"  {done}/{len(steps)}  ", style="default")
    line.append_text(state(record.state))
    line.append(f"  {length(record.started_at, record.finished_at)}", style="dim")
    return line


def bar(done: int, total: int) -> Text:
    """Return a bar that is full when ``done`` is ``total``."""
    filled = _BAR_WIDTH if not total else done * _BAR_WIDTH // total
    return Text("━" * filled, style="green").append("━" * (_BAR_WIDTH - filled), style="bright_black")


def step_table(steps: Sequence[StepRecord]) -> None:
    """Print steps as a table."""
    print_table(["STEP", "STATE", "ATTEMPT", "TOOK", "ERROR"], [_row(step) for step in steps])


def print_outcome(run: RunHandle) -> RunState:
    """Print how a run ended and what it made; return how it ended."""
    record, steps = run.record, run.steps()
    if is_interactive():
        console().print(picture(record, steps, console().height))
        click.echo()
    took = length(record.started_at, record.finished_at)
    console().print(Text.assemble(f"run {record.id} ", state(record.state), f" after {took}" if took else ""))
    if record.error:
        console().print(Text(describe_error(record.error), style="red"))
    for name, result in run.result.items():
        print_text(f"{name}: {_as_text(result)}")
    return record.state


def run_as_json(run: RunHandle) -> dict[str, Any]:
    """Return a run's row as values for JSON."""
    return as_values(run.record)


def _as_text(result: Any) -> str:
    return json.dumps(result, ensure_ascii=False)


def _most_telling(steps: Sequence[StepRecord], room: int) -> Sequence[StepRecord]:
    if len(steps) <= room:
        return steps
    loud = [step for step in steps if step.state not in _QUIET_STATES]
    quiet = [step for step in steps if step.state in _QUIET_STATES]
    chosen = (loud + quiet)[: max(room - 1, 1)]
    return sorted(chosen, key=lambda step: step.position)


def _as_table(steps: Sequence[StepRecord]) -> Table:
    table = Table.grid(padding=(0, 2, 0, 0))
    for _ in range(4):
        table.add_column(no_wrap=True)
    table.add_column(no_wrap=True, overflow="ellipsis")
    for step in steps:
        table.add_row(*_row(step))
    return table


def _row(step: StepRecord) -> list[str | Text]:
    attempt = str(step.attempt) if step.attempt else ""
    took = length(step.started_at, step.finished_at)
    return [step.name, state(step.state), attempt, took, describe_error(step.error)]


def _detail(data: Mapping[str, Any]) -> str:
    parts = []
    if "seconds" in data:
        parts.append(duration(timedelta(seconds=data["seconds"])))
    if data.get("error_class"):
        parts.append(describe_error(data))
    parts += [str(data[name]) for name in ("reason", "because") if data.get(name)]
    if "delay_seconds" in data:
        parts.append(f"again in {duration(timedelta(seconds=data['delay_seconds']))}")
    return ", ".join(parts)

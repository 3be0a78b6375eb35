"""Following a run: a picture that redraws on a terminal, a line for each change elsewhere."""

import json
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any, Final

from rich.console import Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from workflow_engine.cli.output import (
    as_values,
    console,
    describe_error,
    is_interactive,
    length,
    print_json_line,
    print_rich,
    print_table,
    print_text,
    state,
    yielding,
)
from workflow_engine.cli.tracking import StepLine, Track
from workflow_engine.client.handle import RunHandle
from workflow_engine.model.durations import duration
from workflow_engine.model.records import EventRecord, StepRecord
from workflow_engine.model.run import RunState
from workflow_engine.model.step import StepState

_BAR_WIDTH: Final = 24
_LINES_BESIDE_STEPS: Final = 6

_WORDS: Final[Mapping[str, str]] = {
    "step.started": "running",
    "step.suspended": "waiting",
    "step.completed": "succeeded",
    "step.retrying": "retrying",
    "step.lost": "lost",
    "step.released": "released",
    "step.failed": "failed",
    "step.skipped": "skipped",
    "step.cancelled": "cancelled",
    "step.requeued": "requeued",
    "step.restored": "restored",
    "step.discarded": "discarded",
}
"""The events of steps that a person wants a line for, and the word for each."""

_QUIET_STATES: Final = frozenset({StepState.WAITING, StepState.SUCCEEDED, StepState.SKIPPED})


def follow(run: RunHandle, timeout: float | None = None) -> RunState:
    """Show a run's progress until it ends, and then what it made; return how it ended.

    Raises:
        RunTimeout: it had not ended after ``timeout`` seconds; it goes on.
    """
    track = Track(run)
    if is_interactive():
        _follow_live(track, timeout)
    else:
        for news in track.looks(timeout):
            for line in filter(None, map(change_line, news)):
                print_text(line)
    return _tell_outcome(track)


def follow_as_json(run: RunHandle, timeout: float | None = None) -> RunState:
    """Print each event of a run as a line of JSON until it ends; return how it did."""
    track = Track(run)
    for news in track.looks(timeout):
        for event in news:
            print_json_line(as_values(event))
    return track.record.state


def change_line(event: EventRecord) -> str | None:
    """Return an event as one line, or None for those that tell a person nothing."""
    at = event.occurred_at.astimezone().strftime("%H:%M:%S.%f")[:-3]
    if event.name in _WORDS:
        attempt = f"attempt {event.attempt}" if event.attempt else ""
        words = [at, f"{event.step:<24}", f"{_WORDS[event.name]:<9}", f"{attempt:<10}", _detail(event.data)]
        return "  ".join(words).rstrip()
    if event.name.startswith("run."):
        return f"{at}  run {event.name.removeprefix('run.')}  {_detail(event.data)}".rstrip()
    return None


def bar(done: int, total: int) -> Text:
    """Return a bar that is full when ``done`` is ``total``."""
    filled = _BAR_WIDTH if not total else done * _BAR_WIDTH // total
    return Text("━" * filled, style="green").append("━" * (_BAR_WIDTH - filled), style="bright_black")


def print_steps(steps: Sequence[StepRecord]) -> None:
    """Print steps as a table."""
    print_table(["STEP", "STATE", "ATTEMPT", "TOOK", "ERROR"], [_row(StepLine.of(step)) for step in steps])


def run_as_json(run: RunHandle) -> dict[str, Any]:
    """Return a run's row as values for JSON."""
    return as_values(run.record)


def _follow_live(track: Track, timeout: float | None) -> None:
    with Live(console=console(), auto_refresh=False) as live:
        for _ in track.looks(timeout):
            live.update(_picture(track, live.console.height), refresh=True)


def _picture(track: Track, height: int) -> RenderableType:
    """Return a run and its steps as they stand, no taller than a terminal of ``height`` lines."""
    steps = track.steps
    shown = _most_telling(steps, height - _LINES_BESIDE_STEPS)
    table = Table.grid(padding=(0, 2, 0, 0))
    for _ in range(4):
        table.add_column(no_wrap=True)
    table.add_column()
    for step in shown:
        *cells, error = _row(step)
        table.add_row(*cells, yielding(str(error), "red"))
    parts: list[RenderableType] = [_headline(track), Text(), table, Text()]
    if len(shown) < len(steps):
        parts.insert(3, Text(f"… and {len(steps) - len(shown)} more steps", style="dim"))
    return Group(*parts)


def _headline(track: Track) -> Text:
    record, total = track.record, len(track.steps)
    line = Text(record.workflow, style="bold")
    line.append("  ").append_text(bar(track.done, total)).append(f"  {track.done}/{total}  ", style="default")
    line.append_text(state(record.state))
    return line.append(f"  {length(record.started_at, record.finished_at)}", style="dim")


def _tell_outcome(track: Track) -> RunState:
    record = track.record
    took = length(record.started_at, record.finished_at)
    print_rich(Text.assemble(f"run {record.id} ", state(record.state), f" after {took}" if took else ""))
    if record.error:
        print_rich(Text(describe_error(record.error), style="red"))
    for name, result in track.run.result.items():
        print_text(f"{name}: {json.dumps(result, ensure_ascii=False)}")
    return record.state


def _most_telling(steps: Sequence[StepLine], room: int) -> Sequence[StepLine]:
    if len(steps) <= room:
        return steps
    ranked = sorted(enumerate(steps), key=lambda each: each[1].state in _QUIET_STATES)
    return [step for _, step in sorted(ranked[: max(room - 1, 1)], key=lambda each: each[0])]


def _row(step: StepLine) -> list[str | Text]:
    attempt = str(step.attempt) if step.attempt else ""
    return [
        step.name,
        state(step.state),
        attempt,
        length(step.started_at, step.finished_at),
        describe_error(step.error),
    ]


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

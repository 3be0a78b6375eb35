"""What commands print: JSON for programs, tables for people; colours only on a terminal."""

import dataclasses
import json
import os
import shutil
import sys
from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Protocol

import click
from rich.console import Console, OverflowMethod, RenderableType
from rich.status import Status
from rich.table import Table
from rich.text import Text

from workflow_engine.model.durations import duration

_DRAWING_WIDTH: Final = 100
_PIPE_WIDTH: Final = 100_000
"""Columns where there is no terminal: nothing is cut for a program that reads along."""

_STYLES: Final[Mapping[str, str]] = {
    "succeeded": "green",
    "failed": "red",
    "retrying": "yellow",
    "running": "cyan",
    "dispatched": "blue",
    "cancelling": "yellow",
    "cancelled": "magenta",
    "expired": "magenta",
    "skipped": "dim",
    "waiting": "dim",
    "pending": "dim",
}

_ASCII: Final = str.maketrans("─│┌┐└┘├┤┬┴┼╭╮╰╯●━…", "-|+++++++++++++*=~")

as_json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON, for programs.")


def is_interactive() -> bool:
    """Tell whether somebody looks at a terminal that can redraw."""
    return sys.stdout.isatty() and os.environ.get("TERM", "dumb") not in {"dumb", "unknown"}


def drawing_width() -> int:
    """Return how wide a drawing may be."""
    return shutil.get_terminal_size().columns if is_interactive() else _DRAWING_WIDTH


def waiting(sentence: str) -> "Waiting":
    """Return what says, between ``start`` and ``stop``, that something takes its time."""
    return Status(sentence, console=console(), spinner="dots") if is_interactive() else _Sentence(sentence)


class Waiting(Protocol):
    """Something that a person looks at while waiting."""

    def start(self) -> None:
        """Show it."""

    def stop(self) -> None:
        """Take it away; may be repeated."""


class _Sentence:
    """A sentence that stays."""

    def __init__(self, text: str) -> None:
        self._text = text

    def start(self) -> None:
        click.echo(self._text)

    def stop(self) -> None:
        """Nothing to take away."""


def console() -> Console:
    """Return a console on stdout."""
    terminal = is_interactive()
    return Console(
        force_terminal=terminal,
        width=None if terminal else _PIPE_WIDTH,
        highlight=False,
        markup=False,
        emoji=False,
        soft_wrap=False,
    )


def print_text(text: str) -> None:
    """Print text as it is; line drawing turns into ASCII where stdout has no other letters."""
    encoding = (getattr(sys.stdout, "encoding", None) or "utf-8").lower()
    click.echo(text if encoding.startswith("utf") else text.translate(_ASCII))


def print_rich(renderable: RenderableType) -> None:
    """Print what rich renders; in a pipe without the blanks at the ends of its lines."""
    out = console()
    if out.is_terminal:
        out.print(renderable)
        return
    with out.capture() as captured:
        out.print(renderable)
    print_text("\n".join(line.rstrip() for line in captured.get().splitlines()))


def print_json(value: Any) -> None:
    """Print one JSON document."""
    click.echo(json.dumps(value, indent=2, ensure_ascii=False, default=_plain))


def print_json_line(value: Any) -> None:
    """Print a JSON document on a line of its own."""
    click.echo(json.dumps(value, ensure_ascii=False, default=_plain))


def as_values(record: Any) -> dict[str, Any]:
    """Return a record as a dict for JSON."""
    return {field.name: getattr(record, field.name) for field in dataclasses.fields(record)}


def print_table(
    columns: Sequence[str], rows: Sequence[Sequence[str | Text]], *, giving_way: Collection[str] = ()
) -> None:
    """Print rows under their headings; on a narrow terminal some give way: the last, unless others are named."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for column in columns:
        gives_way = column in (giving_way or columns[-1:])
        overflow: OverflowMethod = "fold" if gives_way else "ellipsis"
        table.add_column(column, no_wrap=not gives_way, overflow=overflow, min_width=len(column))
    for row in rows:
        table.add_row(*row)
    print_rich(table)


def print_facts(facts: Mapping[str, str | Text | None]) -> None:
    """Print names and values, one a line; what is None is left out."""
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True, style="bold")
    table.add_column(overflow="fold")
    for name, value in facts.items():
        if value is not None:
            table.add_row(name, value)
    print_rich(table)


def yielding(text: str, style: str = "") -> Text:
    """Return a table cell that is cut where the terminal is narrow, before any other column gives way."""
    return Text(text, style=style, no_wrap=True, overflow="ellipsis")


def state(name: str) -> Text:
    """Return a state in its colour."""
    return Text(str(name), style=_STYLES.get(name, ""))


def moment(at: datetime | None) -> str:
    """Return a time for people, in their time zone."""
    return "" if at is None else at.astimezone().strftime("%Y-%m-%d %H:%M:%S")


def moment_briefly(at: datetime) -> str:
    """Return a time for a list: on a terminal, where space is dear, today's have no date and others no time."""
    if not is_interactive():
        return moment(at)
    local, today = at.astimezone(), datetime.now().astimezone().date()
    return local.strftime("%H:%M:%S") if local.date() == today else local.strftime("%Y-%m-%d")


def length(start: datetime | None, end: datetime | None) -> str:
    """Return how long something took, or has taken so far."""
    return "" if start is None else duration((end or datetime.now(UTC)) - start)


def describe_error(error: Mapping[str, Any] | None) -> str:
    """Return a run's or step's error as one line."""
    if not error:
        return ""
    where = f"{error['step']}: " if error.get("step") else ""
    return f"{where}{error.get('error_class', 'error')}: {error.get('message', '')}".strip()


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, Mapping):
        return dict(value)
    return list(value) if isinstance(value, Sequence) else str(value)

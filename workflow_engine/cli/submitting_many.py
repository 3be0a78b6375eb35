"""``wfe submit NAME --inputs FILE``: a run for each line of a file."""

import json
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import IO, Any, Final

import click
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from workflow_engine.bootstrap.engine import Engine
from workflow_engine.cli.output import console, is_interactive, print_json_line
from workflow_engine.client.batch import BATCH_LIMIT, RunToSubmit
from workflow_engine.client.handle import RunHandle
from workflow_engine.errors import InvalidInput

_INDEX: Final = re.compile(r"runs\[(\d+)\]\.(.*)")


def submit_lines(engine: Engine, name: str, file: Path, options: dict[str, Any], *, as_json: bool) -> None:
    """Submit a run for each line, 1,000 in a transaction: all of these, or none.

    With an ``idempotency_key`` each run's own is it and the line's number: what failed half-way may be repeated.

    Raises:
        click.ClickException: a line is not JSON; what came before its 1,000 is stored, and the message says so.
        click.UsageError: the file cannot be read.
    """
    version, key = options.pop("version", None), options.pop("idempotency_key", None)
    submitted = created = 0
    with _opened(file) as stream, _progress(file) as advance:
        lines = enumerate(stream, 1)
        while batch := list(islice(lines, BATCH_LIMIT)):
            runs = [
                RunToSubmit(
                    workflow=name,
                    input=_parsed(file, number, line, submitted),
                    version=version,
                    options=options if key is None else {**options, "idempotency_key": f"{key}-{number}"},
                )
                for number, line in batch
                if line.strip()
            ]
            numbers = [number for number, line in batch if line.strip()]
            try:
                handles = engine.client.submit_batch(runs)
            except InvalidInput as error:
                raise _by_line(error, numbers) from error
            submitted += len(handles)
            created += sum(each.created for each in handles)
            advance(len(batch))
            _tell(handles, as_json=as_json)
    if not as_json:
        before = f", {submitted - created:,} of them were there already" if created < submitted else ""
        click.echo(f"{submitted:,} runs submitted{before}", err=True)


def _parsed(file: Path, number: int, line: str, submitted: int) -> Any:
    try:
        return json.loads(line)
    except (ValueError, RecursionError) as error:
        before = f"; {submitted:,} runs of the lines before were submitted" if submitted else "; nothing was submitted"
        raise click.ClickException(f"{file}, line {number}, is not JSON: {error}{before}") from error


def _by_line(error: InvalidInput, numbers: Sequence[int]) -> InvalidInput:
    """Return an error that names the line in place of the run's index."""
    found = _INDEX.match(error.field)
    return InvalidInput(f"line {numbers[int(found[1])]}.{found[2]}", error.reason) if found else error


def _tell(handles: Sequence[RunHandle], *, as_json: bool) -> None:
    for each in handles:
        if as_json:
            print_json_line({"id": each.id, "created": each.created})
        else:
            click.echo(each.id)


@contextmanager
def _opened(file: Path) -> Iterator[IO[str]]:
    try:
        with click.open_file(str(file), encoding="utf-8") as stream:
            yield stream
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise click.UsageError(f"--inputs {file}: {reason}") from error


@contextmanager
def _progress(file: Path) -> Iterator[Any]:
    """Show on a terminal how many lines are done."""
    if not is_interactive():
        yield lambda lines: None
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console(), transient=True) as bar:
        task = bar.add_task(f"lines of {file.name}", total=_lines(file))
        yield lambda lines: bar.advance(task, lines)


def _lines(file: Path) -> int | None:
    if not file.is_file():
        return None  # stdin, a pipe: nobody knows
    with file.open("rb") as stream:
        return sum(1 for _ in stream)

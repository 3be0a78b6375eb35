"""What a failure looks like from the shell: one line on stderr and an exit code."""

import os
from typing import Final

import click

from workflow_engine.errors import (
    ConfigurationError,
    DefinitionChanged,
    InvalidInput,
    ResultNotStorable,
    WorkflowEngineError,
    WorkflowNotFound,
)

SUCCESS: Final = 0
FAILURE: Final = 1
WRONG_USAGE: Final = 2
INTERRUPTED: Final = 130
"""What shells expect of a program that Ctrl-C ended."""


class Failure(click.ClickException):
    """An error for whoever typed the command."""

    exit_code = FAILURE


class WrongUsage(Failure):
    """An error that another command line, or another setting, would avoid."""

    exit_code = WRONG_USAGE


def as_failure(error: Exception) -> Failure:
    """Return the failure that tells a user about any exception."""
    if isinstance(error, DefinitionChanged):
        return Failure(str(error))  # with its diff, one line a step
    if isinstance(error, WorkflowEngineError):
        return (WrongUsage if _is_wrong_usage(error) else Failure)(one_line(str(error)))
    return Failure(one_line(f"{type(error).__name__}: {error}") + " (`wfe --debug …` shows where)")


def one_line(text: str) -> str:
    """Return ``text`` without line breaks and doubled spaces."""
    return " ".join(text.split())


def report(error: click.ClickException) -> None:
    """Print the error as ``error: …``."""
    hint = ""
    if isinstance(error, click.UsageError) and error.ctx is not None:
        hint = f" (see `{error.ctx.command_path} --help`)"
    message = error.format_message().rstrip(".") + hint
    colour = False if os.environ.get("NO_COLOR") else None  # None: only on a terminal
    click.echo(click.style("error: ", fg="red", bold=True) + message, err=True, color=colour)


def _is_wrong_usage(error: WorkflowEngineError) -> bool:
    wrong = isinstance(error, ConfigurationError | InvalidInput | WorkflowNotFound)
    return wrong and not isinstance(error, ResultNotStorable)

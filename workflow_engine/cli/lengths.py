"""Lengths of time, as options of commands give them."""

import re
from datetime import timedelta
from typing import Final

import click

_SECONDS: Final = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}
_LENGTH: Final = re.compile(r"(\d+(?:\.\d+)?)([smhd]?)")


def parse_lengths(option: str, text: str) -> list[timedelta]:
    """Return lengths of time with commas between them: ``1h,10m``; ``s``, ``m``, ``h`` and ``d`` are known.

    Raises:
        click.UsageError: one of them is none.
    """
    return [parse_length(option, each.strip()) for each in text.split(",")]


def parse_length(option: str, text: str) -> timedelta:
    """Return a length of time: ``90``, ``90s``, ``10m``, ``1h``, ``2d``.

    Raises:
        click.UsageError: it is none.
    """
    match = _LENGTH.fullmatch(text)
    try:
        if match is not None:
            return timedelta(seconds=float(match[1]) * _SECONDS[match[2] or "s"])
    except OverflowError:
        pass
    raise click.UsageError(f"{option}: {text!r} is not a length of time such as 90s, 10m, 1h or 2d")

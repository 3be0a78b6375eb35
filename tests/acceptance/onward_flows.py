"""Workflows whose steps are kept by the process that set them free."""

import os
import signal
from threading import Event
from typing import Any, Final

from celery.exceptions import SoftTimeLimitExceeded

from tests.support.steps import once, trace, wait_at_gate
from workflow_engine import StepContext, Workflow

WIDTH: Final = 12

line = Workflow("line", description="a chain whose steps change what they are given")


def _spoil(ctx: StepContext) -> list[str]:
    trace(ctx)
    ctx.input["seen"].append(ctx.step)
    for result in ctx.results.values():
        result.append("spoiled")
    return list(ctx.input["seen"])


_previous: list[Any] = []
for _number in range(4):
    _previous = [line.step(name=f"link{_number}", after=_previous)(_spoil)]

unlucky = Workflow("unlucky", description="its second step meets what the input names")


@unlucky.step
def begin(ctx: StepContext) -> int:
    """Begin."""
    trace(ctx)
    return 1


@unlucky.step(after=[begin])
def meet(ctx: StepContext) -> int:
    """Be killed once, or wait at a gate."""
    trace(ctx)
    if ctx.input["how"] == "kill" and once(f"killed-{ctx.run_id}"):
        os.kill(os.getpid(), signal.SIGKILL)
    if ctx.input["how"] == "gate":
        wait_at_gate("met")
    return 2


@unlucky.step(after=[meet])
def end(ctx: StepContext) -> int:
    """End."""
    trace(ctx)
    return 3


timed = Workflow("timed", description="its second step takes too long, in the way the input names")


@timed.step(timeout=30)
def early(ctx: StepContext) -> int:
    """Begin, with a limit of its own."""
    trace(ctx)
    return 1


@timed.step(after=[early], timeout=0.4)
def late(ctx: StepContext) -> int:
    """Outlast the limit; with "deaf", even the exception that says so."""
    trace(ctx)
    try:
        Event().wait(60)
    except SoftTimeLimitExceeded:
        if ctx.input != "deaf":
            raise
    Event().wait(60)
    return 2


brood = Workflow("brood", description="many short siblings, one of which may take its process with it")


@brood.step
def hatch(ctx: StepContext) -> int:
    """Begin."""
    trace(ctx)
    return 10


def _chirp(ctx: StepContext) -> int:
    trace(ctx)
    if ctx.input == "kill" and ctx.step == "chick5" and once(f"killed-{ctx.run_id}"):
        os.kill(os.getpid(), signal.SIGKILL)
    if ctx.input == "fail" and ctx.step == "chick5":
        raise ValueError("chick5 fell")
    if ctx.input == "tarry" and ctx.step == "chick5":
        wait_at_gate(ctx.run_id)
    return int(ctx.results["hatch"]) + int(ctx.step.removeprefix("chick"))


_chicks = [brood.step(name=f"chick{number}", after=[hatch])(_chirp) for number in range(WIDTH)]


@brood.step(after=_chicks)
def count(ctx: StepContext) -> int:
    """Count."""
    trace(ctx)
    return sum(ctx.results.values())


COUNTED: Final = WIDTH * 10 + sum(range(WIDTH))

"""The workflows of the acceptance tests: the same module in the test's process and in its workers."""

import os
import signal
import sys
from asyncio import CancelledError
from threading import Event
from typing import Any

from billiard.exceptions import WorkerLostError
from celery.exceptions import Ignore, Reject, SoftTimeLimitExceeded
from pydantic import BaseModel

from tests.support.steps import folder, once, trace, wait_at_gate
from workflow_engine import NonRetryable, Retry, RetryAfter, StepContext, Workflow

FAN_WIDTH = 200
SOON = Retry(max_attempts=3, base_delay=0.3, factor=1, jitter=False)


# The shapes

diamond = Workflow("diamond")


@diamond.step
def top(ctx: StepContext) -> int:
    """Begin with the number given."""
    trace(ctx)
    return int(ctx.input["n"])


@diamond.step(after=[top])
def left(ctx: StepContext) -> int:
    """Add one."""
    trace(ctx)
    return int(ctx.results["top"]) + 1


@diamond.step(after=[top])
def right(ctx: StepContext) -> int:
    """Double."""
    trace(ctx)
    return int(ctx.results["top"]) * 2


@diamond.step(after=[left, right])
def bottom(ctx: StepContext) -> dict[str, int]:
    """Tell both."""
    trace(ctx)
    return {"left": ctx.results["left"], "right": ctx.results["right"]}


lattice = Workflow("lattice", description="an N: no nesting of chains and groups has this graph")


def _concatenate(ctx: StepContext) -> str:
    trace(ctx)
    return ctx.step + "".join(f"({ctx.results[parent]})" for parent in sorted(ctx.results))


for _name, _parents in {"a": "", "b": "", "c": "a", "d": "ab", "e": "cd", "f": "d"}.items():
    lattice.step(name=_name, after=list(_parents))(_concatenate)

LATTICE_RESULT = {"e": "e(c(a))(d(a)(b))", "f": "f(d(a)(b))"}

fan = Workflow("fan")


@fan.step
def seed(ctx: StepContext) -> int:
    """Begin."""
    trace(ctx)
    return 1_000


def _one_of_many(ctx: StepContext) -> int:
    trace(ctx)
    return int(ctx.results["seed"]) + int(ctx.step.removeprefix("part"))


_parts = [fan.step(name=f"part{number}", after=[seed])(_one_of_many) for number in range(FAN_WIDTH)]


@fan.step(after=_parts)
def total(ctx: StepContext) -> int:
    """Add up."""
    trace(ctx)
    return sum(ctx.results.values())


FAN_RESULT = {"total": FAN_WIDTH * 1_000 + sum(range(FAN_WIDTH))}

chain = Workflow("chain")
_previous: list[Any] = []
for _number in range(5):
    _previous = [chain.step(name=f"link{_number}", after=_previous)(_concatenate)]


# What waits until the test lets it go

gated = Workflow("gated")


@gated.step
def hold(ctx: StepContext) -> str:
    """Wait at the gate that the input names, asking now and then whether to go on."""
    trace(ctx)
    wait_at_gate(ctx.input["gate"], ctx)
    return "held"


@gated.step(after=[hold])
def follow(ctx: StepContext) -> str:
    """Follow."""
    trace(ctx)
    return f"after {ctx.results['hold']}"


deaf = Workflow("deaf", description="its first step never asks whether to go on")


@deaf.step
def ignore(ctx: StepContext) -> str:
    """Wait at the gate that the input names."""
    trace(ctx)
    wait_at_gate(ctx.input["gate"])
    return "done all the same"


@deaf.step(after=[ignore])
def never(ctx: StepContext) -> str:
    """Come too late."""
    trace(ctx)
    return "too late"


# What fails

flaky = Workflow("flaky")


@flaky.step(retry=SOON)
def sometimes(ctx: StepContext) -> int:
    """Fail as often as the input says."""
    trace(ctx)
    if ctx.attempt <= ctx.input["failures"]:
        raise ConnectionError(f"no answer to attempt {ctx.attempt}")
    return ctx.attempt


@flaky.step(after=[sometimes])
def afterwards(ctx: StepContext) -> str:
    """Follow."""
    trace(ctx)
    return ctx.idempotency_key


choosy = Workflow("choosy")


@choosy.step(retry=Retry(max_attempts=2, base_delay=0.1, retry_on=OSError, give_up_on=FileNotFoundError))
def picky(ctx: StepContext) -> int:
    """Raise, at the first attempt, what the input names."""
    trace(ctx)
    errors: dict[str, Exception] = {
        "ConnectionError": ConnectionError("covered"),
        "FileNotFoundError": FileNotFoundError("given up on"),
        "ValueError": ValueError("not covered"),
        "NonRetryable": NonRetryable("the handler knows better"),
        "RetryAfter": RetryAfter(0.6, "busy"),
    }
    if ctx.attempt == 1:
        raise errors[ctx.input["raises"]]
    return ctx.attempt


def _fork(name: str, on_failure: str) -> Workflow:
    """Return a workflow with a step that fails while another one runs, and steps that wait for each."""
    fork = Workflow(name, on_failure=on_failure)

    def fails(ctx: StepContext) -> None:
        trace(ctx)
        wait_at_gate(f"{ctx.run_id}-fail")
        raise LookupError("as asked \x00 with a NUL")

    def runs(ctx: StepContext) -> str:
        trace(ctx)
        wait_at_gate(f"{ctx.run_id}-finish")
        return "ran"

    def waits(ctx: StepContext) -> str:
        trace(ctx)
        return "followed"

    fork.step(name="fails")(fails)
    fork.step(name="runs")(runs)
    fork.step(name="after_fails", after=["fails"])(waits)
    fork.step(name="after_runs", after=["runs"])(waits)
    fork.step(name="after_both", after=["after_fails", "after_runs"])(waits)
    return fork


fork_fail_fast = _fork("fork_fail_fast", "fail_fast")
fork_continue = _fork("fork_continue", "continue")


def _mendable(name: str, on_failure: str) -> Workflow:
    """Return a diamond whose left side fails, twice, until somebody mends what it needs: opens its gate."""
    made = Workflow(name, on_failure=on_failure)

    def begins(ctx: StepContext) -> int:
        trace(ctx)
        return 1

    def breaks(ctx: StepContext) -> str:
        trace(ctx)
        if not (folder() / f"gate-{ctx.run_id}-mended").exists():
            raise ConnectionError(f"attempt {ctx.attempt} finds nobody")
        return f"attempt {ctx.attempt}"

    def joins(ctx: StepContext) -> list[Any]:
        trace(ctx)
        return [ctx.results[name] for name in sorted(ctx.results)]

    made.step(name="top")(begins)
    made.step(name="left", after=["top"], retry=Retry(max_attempts=2, base_delay=0.05, jitter=False))(breaks)
    made.step(name="right", after=["top"])(begins)
    made.step(name="bottom", after=["left", "right"])(joins)
    return made


mend_fail_fast = _mendable("mend_fail_fast", "fail_fast")
mend_continue = _mendable("mend_continue", "continue")


# What does not come back

deadly = Workflow("deadly")


MISUNDERSTOOD: dict[str, BaseException] = {
    "memory": MemoryError("the handler asked for too much"),
    "ignore": Ignore("nobody told Celery"),
    "reject": Reject("nor this", requeue=True),
    "lost": WorkerLostError("it only says so"),
    "interrupt": KeyboardInterrupt(),
    "cancelled": CancelledError("from an event loop in the handler"),
}
"""Exceptions that mean something to Celery, or that no `except Exception` sees."""


@deadly.step
def die(ctx: StepContext) -> int:
    """Leave the process, in the manner the input names, as often as it says."""
    trace(ctx)
    if ctx.attempt <= ctx.input.get("times", 1):
        _leave(ctx.input["how"])
    return ctx.attempt


@deadly.step(after=[die])
def survive(ctx: StepContext) -> str:
    """Follow."""
    trace(ctx)
    return "alive"


def _leave(how: str) -> None:
    if how == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    elif how == "exit":
        sys.exit(3)
    elif how == "_exit":
        os._exit(0)
    else:
        raise MISUNDERSTOOD[how]


stuck = Workflow("stuck", description="its first attempt does not come back, nor asks whether to go on")


@stuck.step
def hang(ctx: StepContext) -> int:
    """Wait for ever, the first time."""
    trace(ctx)
    if ctx.attempt == 1:
        Event().wait(600)
    return ctx.attempt


silent = Workflow("silent", description="its first attempt gives no sign of life")


@silent.step(heartbeat_timeout=0.8, retry=SOON)
def breathe(ctx: StepContext) -> int:
    """Wait for ever, the first time; then work for longer than one may be silent."""
    trace(ctx)
    if ctx.attempt == 1:
        Event().wait(600)
    for _ in range(12):
        Event().wait(0.1)
        ctx.heartbeat()
    return ctx.attempt


overtime = Workflow("overtime", description="its first attempt takes as long as the gate is closed")


@overtime.step(timeout=0.5, retry=SOON)
def dawdle(ctx: StepContext) -> int:
    """Be late, the first time."""
    trace(ctx)
    if ctx.attempt == 1:
        wait_at_gate(ctx.input["gate"])
    return ctx.attempt


slow = Workflow("slow")


@slow.step(timeout=0.4)
def linger(ctx: StepContext) -> str:
    """Stay until a gate of the run opens, which is longer than allowed, in the manner the input names."""
    trace(ctx)
    gate = f"{ctx.run_id}-over"
    try:
        wait_at_gate(gate)
    except SoftTimeLimitExceeded:
        if ctx.input["how"] == "obedient":
            raise
        wait_at_gate(gate)
    return "never"


# Bad results and inputs


class Order(BaseModel):
    """An input model."""

    order_id: int
    currency: str = "EUR"


class Receipt(BaseModel):
    """An output model."""

    paid: bool


strict = Workflow("strict", input=Order)


@strict.step(output=Receipt, retry=SOON)
def pay(ctx: StepContext) -> Any:
    """Return what fits the model, or not."""
    trace(ctx)
    return {"paid": True} if ctx.input.order_id > 0 else {"paid": "perhaps"}


careless = Workflow("careless")


@careless.step(retry=SOON)
def produce(ctx: StepContext) -> Any:
    """Return a result that cannot be stored."""
    trace(ctx)
    results: dict[str, Any] = {"object": object(), "large": "x" * 20_000, "nul": "a\x00b", "nan": float("nan")}
    return results[ctx.input["what"]]


# Crashes of the engine's own process


crashing = Workflow("crashing", description="its workers may die between commit and publish")
for _name, _parents in {"first": "", "second": "first", "third": "first", "last": "second third"}.items():
    crashing.step(name=_name, after=_parents.split())(_concatenate)


long_chain = Workflow("long_chain")
_previous = []
for _number in range(8):
    _previous = [long_chain.step(name=f"link{_number}", after=_previous)(_concatenate)]


paced = Workflow("paced", description="each step takes a moment: something always runs")


def _pause(ctx: StepContext) -> str:
    trace(ctx)
    Event().wait(0.05)
    return ctx.step


for _name, _parents in {"one": "", "two": "one", "three": "one", "four": "two three"}.items():
    paced.step(name=_name, after=_parents.split())(_pause)


steady = Workflow("steady", description="whoever is killed is likely to be killed while it runs one of its steps")


def _take_time(ctx: StepContext) -> str:
    trace(ctx)
    Event().wait(0.4)
    return ctx.step


for _name, _parents in {"begin": "", "this": "begin", "that": "begin", "finish": "this that"}.items():
    steady.step(name=_name, after=_parents.split())(_take_time)


def killed_once(ctx: StepContext, name: str) -> None:
    """Kill this process, the first time on this stage."""
    trace(ctx)
    if once(name):
        os.kill(os.getpid(), signal.SIGKILL)


unhurried = Workflow("unhurried", description="one step that takes a tenth of a second")


@unhurried.step
def stroll(ctx: StepContext) -> str:
    """Take its time."""
    trace(ctx)
    Event().wait(0.1)
    return ctx.step


# Queues

two_queues = Workflow("two_queues")


@two_queues.step
def anywhere(ctx: StepContext) -> int:
    """Run on the default queue."""
    trace(ctx)
    return 1


@two_queues.step(after=[anywhere], queue="acceptance-gpu")
def on_the_gpu(ctx: StepContext) -> int:
    """Run where that queue is served."""
    trace(ctx)
    return 2


# Small ones

single = Workflow("single")


@single.step
def only(ctx: StepContext) -> Any:
    """Return the number given."""
    return ctx.input["n"]


echo = Workflow("echo")


@echo.step
def same(ctx: StepContext) -> Any:
    """Return the input."""
    trace(ctx)
    return ctx.input


patient = Workflow("patient")


@patient.step(retry=Retry(base_delay=3_600))
def later(ctx: StepContext) -> None:
    """Fail, to be tried again in an hour."""
    trace(ctx)
    raise ConnectionError("not now")


greeting_1 = Workflow("greeting", version="1")


@greeting_1.step
def greet(ctx: StepContext) -> str:
    """Say hello."""
    trace(ctx)
    return f"Hello {ctx.input}"


greeting_2 = Workflow("greeting", version="2")


@greeting_2.step
def shout(ctx: StepContext) -> str:
    """Say hello, louder."""
    trace(ctx)
    return f"Hello {ctx.input}".upper()


# Waiting

NAP_SECONDS = 2.0

napping = Workflow("napping")
napping.sleep(NAP_SECONDS, name="nap")


@napping.step(after=["nap"])
def rise(ctx: StepContext) -> str:
    """Begin the day."""
    trace(ctx)
    return "up"


consent = Workflow("consent", description="waits for somebody's word")
consent.wait_for_signal("approved")


@consent.step(after=["approved"])
def act(ctx: StepContext) -> Any:
    """Do what was approved."""
    trace(ctx)
    return ctx.results["approved"]

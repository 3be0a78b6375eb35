"""The workflows of the soak: every way in which a run goes on, waits, fails, and is tried again."""

from typing import Final

from workflow_engine import Retry, Step, StepContext, Workflow

CHAIN, FAN = 20, 100
_SOON: Final = Retry(max_attempts=3, base_delay=0.2, factor=1)


class Flaky(Exception):
    """What a flaky step raises."""


def _noop(ctx: StepContext) -> int:
    return int(ctx.input)


def _second_time(ctx: StepContext) -> int:
    if ctx.attempt < 2:
        raise Flaky("the first attempt always fails")
    return ctx.attempt


def _never(ctx: StepContext) -> None:
    raise Flaky(f"attempt {ctx.attempt} fails too")


def _added(workflow: Workflow, name: str, after: list[Step]) -> Step:
    step = workflow.step(name=name, after=after)(_noop)
    if not isinstance(step, Step):
        raise TypeError(step)
    return step


def _diamond() -> Workflow:
    workflow = Workflow("soak_diamond")
    top = _added(workflow, "top", [])
    _added(workflow, "bottom", [_added(workflow, side, [top]) for side in ("left", "right")])
    return workflow


def _chain(name: str) -> Workflow:
    workflow, last = Workflow(name), list[Step]()
    for number in range(CHAIN):
        last = [_added(workflow, f"link{number}", last)]
    return workflow


def _fan() -> Workflow:
    workflow = Workflow("soak_fan")
    first = _added(workflow, "first", [])
    _added(workflow, "last", [_added(workflow, f"part{number}", [first]) for number in range(FAN)])
    return workflow


diamond, chain, fan, scheduled = _diamond(), _chain("soak_chain"), _fan(), Workflow("soak_scheduled")
scheduled.step(name="only")(_noop)

paused = _chain("soak_paused")
"""Its runs are paused on their way, and resumed."""

retried = Workflow("soak_retried")
retried.step(name="flaky", retry=_SOON)(_second_time)
retried.step(name="after", after=["flaky"])(_noop)

failing = Workflow("soak_failing")
failing.step(name="never", retry=_SOON)(_never)
failing.step(name="after", after=["never"])(_noop)

sleeping = Workflow("soak_sleeping")
sleeping.step(name="before")(_noop)
sleeping.sleep(1.0, name="nap", after=["before"])
sleeping.step(name="after", after=["nap"])(_noop)

signalled = Workflow("soak_signalled")
signalled.step(name="before")(_noop)
signalled.wait_for_signal("go", after=["before"])
signalled.step(name="after", after=["go"])(_noop)

cancelled = Workflow("soak_cancelled")
"""It waits for a signal that never comes: its runs are cancelled."""
cancelled.step(name="before")(_noop)
cancelled.wait_for_signal("never", after=["before"])

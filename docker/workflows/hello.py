"""A diamond that needs nothing but a worker: greet in two languages at the same time, then join."""

from workflow_engine import Retry, StepContext, Workflow

hello = Workflow("hello", version="1", description="Greet somebody in two languages")


@hello.step
def name(ctx: StepContext) -> str:
    """Find out whom to greet."""
    return str((ctx.input or {}).get("name", "world"))


@hello.step(after=[name])
def english(ctx: StepContext) -> str:
    """Greet in English."""
    return f"Hello, {ctx.results['name']}!"


@hello.step(after=[name], retry=Retry(max_attempts=3, base_delay=0.5))
def german(ctx: StepContext) -> str:
    """Greet in German; the first attempt fails, so that there is a retry to look at."""
    if ctx.attempt == 1:
        raise RuntimeError("the dictionary is busy")
    return f"Hallo, {ctx.results['name']}!"


@hello.step(after=[english, german])
def both(ctx: StepContext) -> list[str]:
    """Say both."""
    return [ctx.results["english"], ctx.results["german"]]

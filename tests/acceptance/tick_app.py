"""A worker for runs that a schedule starts every minute."""

from tests.support.steps import announce_readiness
from workflow_engine import Engine, StepContext, Workflow

tick = Workflow("tick")


@tick.step
def note(ctx: StepContext) -> str:
    """Say which occurrence it is."""
    return ctx.correlation_id


app = Engine(workflows=[tick]).install()
announce_readiness()

"""When a planned step is tried again, decided by whoever has its plan but not its code."""

from datetime import timedelta
from random import Random
from typing import Final

from workflow_engine.definitions.policies import Retry
from workflow_engine.plan.plan import PlannedStep

_RANDOM: Final = Random()  # noqa: S311  spreads retries in time; nothing secret


def delay_after(step: PlannedStep, error: Exception, attempt: int) -> timedelta | None:
    """Return how long to wait after ``attempt`` failed with one of our own errors; None: the step has failed.

    The plan keeps the names of the exceptions that a policy covers: an error is covered by the names of its classes.
    """
    policy = step.retry
    names = {each.__qualname__ for each in type(error).__mro__}
    if names.isdisjoint(policy["retry_on"]) or not names.isdisjoint(policy["give_up_on"]):
        return None
    retry = Retry(
        max_attempts=policy["max_attempts"],
        base_delay=policy["base_delay"],
        factor=policy["factor"],
        max_delay=policy["max_delay"],
        jitter=policy["jitter"],
        retry_on=BaseException,
    )
    return retry.delay_after(error, attempt, _RANDOM)

"""A workflow whose handler logs in every way there is, for the tests of JSON logs."""

import logging
import os
import signal
import warnings

from celery.utils.log import get_task_logger

from workflow_engine import Retry, StepContext, Workflow

talking = Workflow("talking")


@talking.step(retry=Retry(max_attempts=2, base_delay=0.01, jitter=False))
def talk(ctx: StepContext) -> None:
    """Fail at the first attempt, loudly."""
    logging.getLogger("shop").info("two\nlines of attempt %d", ctx.attempt)
    get_task_logger("shop.task").info("from a task's logger")
    if ctx.attempt == 1:
        try:
            int(f"attempt {ctx.attempt}")
        except ValueError:
            logging.getLogger("shop").exception("raised")
            raise


@talking.step(after=[talk])
def print_and_warn(ctx: StepContext) -> None:
    """Use what is not logging."""
    print("printed")
    warnings.warn("warned of", stacklevel=1)


dying = Workflow("dying")


@dying.step
def die(ctx: StepContext) -> int:
    """Take the pool's process along at the first attempt."""
    if ctx.attempt == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    return 1

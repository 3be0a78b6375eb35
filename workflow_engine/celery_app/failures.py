"""What went wrong in a handler, as the engine stores it; and whether to try again."""

import traceback
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any, Final

from billiard.exceptions import Terminated, WorkerLostError
from celery.exceptions import Retry as CeleryRetry
from celery.exceptions import SoftTimeLimitExceeded, TaskPredicate, TimeLimitExceeded

from workflow_engine.definitions.handlers import TaskHandler
from workflow_engine.definitions.policies import NO_RETRY
from workflow_engine.definitions.step import Step
from workflow_engine.errors import HandlerExited, NonRetryable, ResultNotStorable, RetryAfter, StepTimeout
from workflow_engine.model.commands import StepError

MESSAGE_LIMIT: Final = 10_000
TRACEBACK_LIMIT: Final = 20_000
"""Characters of a message and of a traceback that are kept with the step."""

_LONGEST_WAIT: Final = 366 * 86_400
_RANDOM: Final = Random()  # noqa: S311  spreads retries in time; nothing secret


_MEANT_FOR_CELERY: Final = (MemoryError, TaskPredicate, WorkerLostError, Terminated)
"""What makes Celery do something else than note a failure; a MemoryError even ends the worker's main process."""


class HandlerFailed(Exception):
    """Stands for a handler's exception that Celery would take for a message to itself."""


def described(error: BaseException) -> StepError:
    """Return an exception as it is stored: NUL characters, which PostgreSQL refuses, are replaced."""
    lines = traceback.format_exception(error)
    return StepError(
        error_class=type(error).__name__,
        message=_storable(_text(error))[:MESSAGE_LIMIT],
        traceback=_storable("".join(lines))[-TRACEBACK_LIMIT:],
    )


def as_failure(error: BaseException, step: Step) -> BaseException:
    """Return what a caught exception means: time limits and ``sys.exit`` get a name that says so."""
    if isinstance(error, SoftTimeLimitExceeded | TimeLimitExceeded):
        seconds = step.timeout.total_seconds() if step.timeout else float(error.args[0] if error.args else 0)
        failure: BaseException = StepTimeout(step.name, seconds)
    elif isinstance(error, SystemExit):
        failure = HandlerExited(f"the handler called sys.exit({error.code!r})")
    elif isinstance(error, KeyboardInterrupt):
        failure = HandlerExited("the handler raised KeyboardInterrupt")
    else:
        return error
    failure.__cause__ = error
    return failure


def for_celery(failure: BaseException) -> Exception:
    """Return what to raise so that Celery notes a failure and does nothing else."""
    if isinstance(failure, Exception) and not isinstance(failure, _MEANT_FOR_CELERY):
        return failure
    return HandlerFailed(f"{type(failure).__name__}: {_text(failure)}")


def retry_delay(error: BaseException, step: Step, attempt: int) -> timedelta | None:
    """Return how long until the next attempt; None: the step has failed."""
    if isinstance(error, ResultNotStorable):
        return None  # the handler has done its work; doing it again would not change what it returns
    if isinstance(step.handler, TaskHandler) and step.retry is NO_RETRY:
        return _delay_of_task(error, step.handler.task, attempt)
    return step.retry.delay_after(error, attempt, _RANDOM)


def _delay_of_task(error: BaseException, task: Any, attempt: int) -> timedelta | None:
    """An existing task keeps its own retries: those it asks for with ``self.retry`` or ``autoretry_for``."""
    asked = _asked_for_retry(error)
    if asked is None or isinstance(error, NonRetryable):
        return None
    max_retries = asked.get("max_retries")
    if max_retries is None:
        max_retries = task.max_retries
    if max_retries is not None and attempt > max_retries:
        return None
    if isinstance(error, RetryAfter):
        return error.delay
    moments = (asked.get("countdown"), asked.get("eta"), task.default_retry_delay)
    return _time_until(next((moment for moment in moments if moment is not None), 0))


def _time_until(moment: float | datetime) -> timedelta:
    """Return how long until a moment, given as Celery takes it: in so many seconds, or then."""
    if isinstance(moment, datetime):
        moment = (moment.replace(tzinfo=moment.tzinfo or UTC) - datetime.now(UTC)).total_seconds()
    return timedelta(seconds=min(max(moment, 0), _LONGEST_WAIT))


def _asked_for_retry(error: BaseException) -> dict[str, Any] | None:
    """Return the arguments of the ``Task.retry`` call that raised ``error``, if one did.

    Called inside our step, a task is "called directly", so its ``retry`` sends nothing and raises; the frame tells.
    """
    frame = error.__traceback__
    while frame is not None:
        code = frame.tb_frame.f_code
        if code.co_name == "retry" and code.co_filename.endswith("celery/app/task.py"):
            return dict(frame.tb_frame.f_locals)
        frame = frame.tb_next
    return {"countdown": error.when} if isinstance(error, CeleryRetry) else None


def _text(error: BaseException) -> str:
    try:
        return str(error)
    except Exception:  # whatever a handler's exception does, its attempt has failed
        return f"<{type(error).__name__} that cannot be printed>"


def _storable(text: str) -> str:
    return text.replace("\x00", "\N{REPLACEMENT CHARACTER}").encode("utf-8", "replace").decode()

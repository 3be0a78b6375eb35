"""What a failed handler means: how it is stored, and when it is tried again."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from billiard.exceptions import SoftTimeLimitExceeded, TimeLimitExceeded, WorkerLostError
from celery import Celery
from celery.exceptions import Ignore
from celery.exceptions import Retry as CeleryRetry

from workflow_engine import NonRetryable, ResultNotStorable, Retry, RetryAfter, Workflow
from workflow_engine.celery_app.failures import MESSAGE_LIMIT, as_failure, described, for_celery, retry_delay
from workflow_engine.definitions.step import Step

AN_HOUR = timedelta(hours=1)


def step_of(ask: Callable[[Any], Any], **options: Any) -> Step:
    """Return the step of an existing task that asks for a retry in its own way."""

    @Celery("theirs", set_as_current=False).task(bind=True, shared=False, **options)
    def theirs(self: Any) -> None:
        ask(self)

    return Workflow("w").step(task=theirs)


def failure_of(step: Step) -> BaseException:
    """Run the task as the step does; return what it raised."""
    with pytest.raises(Exception) as raised:  # noqa: PT011  whatever it is
        step.handler.task()  # type: ignore[attr-defined]  # it is a TaskHandler
    return raised.value


def delay(ask: Callable[[Any], Any], attempt: int = 1, **options: Any) -> timedelta | None:
    """Return when a task that failed in its attempt is tried again."""
    step = step_of(ask, **options)
    return retry_delay(failure_of(step), step, attempt)


@pytest.mark.parametrize(
    ("ask", "expected"),
    [
        (lambda task: task.retry(countdown=3), timedelta(seconds=3)),
        (lambda task: task.retry(countdown=0), timedelta(0)),
        (lambda task: task.retry(countdown=-3), timedelta(0)),
        (lambda task: task.retry(countdown=40 * 86_400), timedelta(days=40)),
        (lambda task: task.retry(countdown=1e12), timedelta(days=366)),
        (lambda task: task.retry(exc=ValueError("x"), countdown=3), timedelta(seconds=3)),
        (lambda task: task.retry(), timedelta(seconds=180)),
    ],
)
def test_a_task_chooses_when_it_is_tried_again(ask: Callable[[Any], Any], expected: timedelta) -> None:
    assert delay(ask) == expected


@pytest.mark.parametrize("zone", [UTC, None])
def test_a_task_may_name_the_moment(zone: Any) -> None:
    moment = (datetime.now(UTC) + AN_HOUR).replace(tzinfo=zone)

    found = delay(lambda task: task.retry(eta=moment))

    assert found is not None
    assert AN_HOUR - timedelta(seconds=20) < found <= AN_HOUR


def test_a_retry_exception_may_name_the_moment_too() -> None:
    def ask(_task: Any) -> None:
        raise CeleryRetry(when=datetime.now(UTC) + AN_HOUR)

    found = delay(ask)

    assert found is not None
    assert AN_HOUR - timedelta(seconds=20) < found <= AN_HOUR


@pytest.mark.parametrize(("attempt", "again"), [(1, True), (3, True), (4, False)])
def test_a_task_is_tried_again_as_often_as_it_says(attempt: int, again: bool) -> None:
    found = delay(lambda task: task.retry(countdown=1, max_retries=None), attempt)
    assert (found is not None) is again


def test_a_task_without_a_limit_is_tried_again_for_ever() -> None:
    assert delay(lambda task: task.retry(countdown=1), 5_000, max_retries=None) == timedelta(seconds=1)


def fail(_task: Any) -> None:
    raise ValueError("no")


def test_a_task_that_asks_for_nothing_is_not_tried_again_unless_its_exception_is_listed() -> None:
    assert delay(fail) is None
    assert delay(fail, autoretry_for=(ValueError,), retry_backoff=False) == timedelta(seconds=180)


def test_a_steps_own_policy_wins_over_the_tasks() -> None:
    task = step_of(lambda task: task.retry(countdown=500)).handler.task  # type: ignore[attr-defined]
    step = Workflow("w").step(task=task, retry=Retry(max_attempts=2, base_delay=1, jitter=False))

    error = failure_of(step)

    assert retry_delay(error, step, 1) == timedelta(seconds=1)
    assert retry_delay(error, step, 2) is None


PATIENT = Workflow("w").step(name="s", timeout=7, retry=Retry(max_attempts=9, base_delay=1, jitter=False))(
    lambda ctx: None
)


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (ValueError(), timedelta(seconds=1)),
        (RetryAfter(90), timedelta(seconds=90)),
        (NonRetryable(), None),
        (ResultNotStorable("result", "is not JSON"), None),
    ],
)
def test_a_policy_decides_over_every_other_failure(error: Exception, expected: timedelta | None) -> None:
    assert retry_delay(error, PATIENT, 1) == expected


@pytest.mark.parametrize("error", [SoftTimeLimitExceeded(7), TimeLimitExceeded(7)])
def test_a_time_limit_is_named_after_the_step(error: BaseException) -> None:
    failure = as_failure(error, PATIENT)

    assert str(failure) == "step 's' ran longer than its timeout of 7 s"
    assert failure.__cause__ is error


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (SystemExit(3), "the handler called sys.exit(3)"),
        (KeyboardInterrupt(), "the handler raised KeyboardInterrupt"),
    ],
)
def test_a_handler_that_would_end_its_process_has_failed(error: BaseException, said: str) -> None:
    assert str(as_failure(error, PATIENT)) == said


@pytest.mark.parametrize("error", [MemoryError("full"), Ignore("x"), WorkerLostError("x"), GeneratorExit()])
def test_what_celery_would_take_for_itself_is_a_plain_failure(error: BaseException) -> None:
    raised = for_celery(error)

    assert type(raised).__mro__[1] is Exception
    assert type(error).__name__ in str(raised)


def test_a_failure_is_stored_without_what_postgresql_refuses_and_within_bounds() -> None:
    stored = described(ValueError("a\x00b\ud800" + "x" * 50_000))

    assert stored.error_class == "ValueError"
    assert stored.message.startswith("a\N{REPLACEMENT CHARACTER}b?xx")
    assert len(stored.message) == MESSAGE_LIMIT
    assert stored.traceback is not None
    assert len(stored.traceback) <= 20_000
    stored.traceback.encode()


class Unspeakable(Exception):
    """An exception that cannot say what it is."""

    def __str__(self) -> str:
        raise RuntimeError("not even that")


def test_a_failure_that_cannot_be_printed_is_stored_all_the_same() -> None:
    stored = described(Unspeakable())

    assert stored.error_class == "Unspeakable"
    assert stored.message

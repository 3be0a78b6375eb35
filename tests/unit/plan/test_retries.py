"""A plan alone decides whether an attempt that timed out is tried again, as its step's policy would."""

from random import Random

import pytest

from workflow_engine import HeartbeatTimeout, Retry, StepTimeout, Workflow, compile_plan
from workflow_engine.plan.plan import PlannedStep
from workflow_engine.plan.retries import delay_after

SILENT = HeartbeatTimeout("a", 1.0)


def planned(retry: Retry | None = None) -> PlannedStep:
    workflow = Workflow("w")
    workflow.step(name="a", **({} if retry is None else {"retry": retry}))(lambda ctx: None)
    return compile_plan(workflow)[0]


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"retry_on": OSError},  # a TimeoutError is one
        {"retry_on": ConnectionError},
        {"retry_on": (ValueError, HeartbeatTimeout)},
        {"give_up_on": TimeoutError},
        {"give_up_on": (StepTimeout, KeyError)},
        {"max_attempts": 1},
    ],
)
@pytest.mark.parametrize("error", [SILENT, StepTimeout("a", 1.0)])
@pytest.mark.parametrize("attempt", [1, 2, 3])
def test_the_plan_decides_as_the_policy_does(options: dict[str, object], error: Exception, attempt: int) -> None:
    retry = Retry(**{"max_attempts": 3, "base_delay": 2.0, "factor": 3.0, "jitter": False, **options})  # type: ignore[arg-type]

    assert delay_after(planned(retry), error, attempt) == retry.delay_after(error, attempt, Random(1))


def test_a_step_without_a_policy_is_not_tried_again() -> None:
    assert delay_after(planned(), SILENT, 1) is None


def test_a_delay_is_spread_as_the_policy_says() -> None:
    step = planned(Retry(base_delay=10.0))
    delays = {delay.total_seconds() for _ in range(50) if (delay := delay_after(step, SILENT, 1))}

    assert len(delays) > 10
    assert all(5.0 <= delay <= 10.0 for delay in delays)

"""Stages for acceptance tests: one shared by the tests that break nothing, fresh ones for those that do."""

from collections.abc import Iterator

import pytest

from tests.fixtures.stages import StageMaker
from tests.support.checker import check
from tests.support.processes import Stage


@pytest.fixture(scope="session")
def shared_stage(new_stage: StageMaker) -> Iterator[Stage]:
    """A stage with a worker and a coordinator, for tests that break neither."""
    with new_stage() as made:
        made.start_coordinator()
        made.start_worker("-c3")
        yield made
        check(made)


@pytest.fixture
def running(shared_stage: Stage) -> Stage:
    """The shared stage."""
    return shared_stage


@pytest.fixture(scope="module")
def small_results(new_stage: StageMaker) -> Iterator[Stage]:
    """A stage where a result may have ten thousand bytes."""
    with new_stage(result_limit_bytes=10_000) as made:
        made.start_worker("-c1")
        yield made


@pytest.fixture
def lonely_stage(new_stage: StageMaker) -> Iterator[Stage]:
    """A stage of the test's own, without worker and coordinator; its history is proved at the end."""
    with new_stage() as made:
        yield made
        check(made)


@pytest.fixture
def sending_stage(new_stage: StageMaker) -> Iterator[Stage]:
    """As a lonely one; its workers send every step, so that there are messages to lose."""
    with new_stage(kept_steps=0) as made:
        yield made
        check(made)


@pytest.fixture
def rabbitmq_stage(new_stage: StageMaker, rabbitmq_url: str) -> Iterator[Stage]:
    """A stage on RabbitMQ, without worker and coordinator."""
    with new_stage(broker=rabbitmq_url) as made:
        yield made
        check(made)

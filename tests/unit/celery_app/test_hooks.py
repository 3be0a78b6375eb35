"""What a worker's main process does beside Celery's own work."""

from threading import Event
from types import SimpleNamespace
from typing import cast

import pytest

from tests.support.processes import wait_until
from workflow_engine.celery_app.hooks import WorkerHooks
from workflow_engine.celery_app.identity import WorkerIdentity
from workflow_engine.celery_app.kept_steps import KeptSteps
from workflow_engine.celery_app.leases import WorkerLease


class Beats:
    """A lease that only counts."""

    def __init__(self) -> None:
        self.identity = WorkerIdentity()
        self.count = 0

    def beat(self) -> None:
        self.count += 1

    def forget(self) -> None:
        pass


def hooks_on(lease: Beats, drain: object) -> WorkerHooks:
    kept_steps = SimpleNamespace(drain=drain)
    return WorkerHooks(cast(WorkerLease, lease), cast(KeptSteps, kept_steps), every=0.01)


def test_a_broker_that_does_not_answer_costs_no_lease() -> None:
    lease, asked, answers = Beats(), Event(), Event()

    def drain() -> None:
        asked.set()
        answers.wait(30)

    hooks = hooks_on(lease, drain)
    hooks._on_ready()
    assert asked.wait(10)
    before = lease.count

    wait_until(lambda: lease.count > before + 5)
    answers.set()
    hooks._on_shutdown()


def test_an_error_of_any_kind_ends_nothing(caplog: pytest.LogCaptureFixture) -> None:
    tries = []

    def drain() -> None:
        tries.append("one more")
        raise OSError("no way to the broker")

    hooks = hooks_on(Beats(), drain)
    hooks._on_ready()
    wait_until(lambda: len(tries) > 2)
    hooks._on_shutdown()

    assert "no way to the broker" in caplog.text

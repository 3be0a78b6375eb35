"""A service works, sleeps until woken or due, and goes on whatever happens; a supervisor starts and stops several."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from threading import Thread
from time import monotonic

import pytest

from tests.support.processes import wait_until
from workflow_engine import DatabaseUnavailable
from workflow_engine.engine.service import Service
from workflow_engine.engine.supervisor import Supervisor

FOR_EVER = timedelta(hours=1)


class Counting(Service):
    """Counts how often it works; fails, or asks for a short sleep, as it is told."""

    def __init__(self, name: str = "counting", interval: timedelta = FOR_EVER) -> None:
        super().__init__(interval)
        self.name = name
        self.times = 0
        self.pause: timedelta | None = None
        self.error: BaseException | None = None

    def run_once(self) -> timedelta | None:
        self.times += 1
        if self.error:
            raise self.error
        return self.pause


@contextmanager
def started(service: Service) -> Iterator[None]:
    """Run a service for the length of a block."""
    service.start()
    try:
        yield
    finally:
        service.stop()


def test_a_service_works_at_once_and_again_when_woken() -> None:
    service = Counting()

    with started(service):
        wait_until(lambda: service.times == 1, within=5)
        for number in range(2, 6):
            service.wake()
            wait_until(lambda number=number: service.times == number, within=5)


def test_a_wake_up_during_the_work_is_kept() -> None:
    class Busy(Counting):
        def run_once(self) -> None:
            if self.times == 0:
                self.wake()
            super().run_once()

    service = Busy()

    with started(service):
        wait_until(lambda: service.times == 2, within=5)


def test_a_service_works_again_when_it_said_that_something_is_due() -> None:
    service = Counting()
    service.pause = timedelta(milliseconds=1)

    with started(service):
        wait_until(lambda: service.times >= 5, within=5)


def test_a_service_never_sleeps_longer_than_its_interval() -> None:
    service = Counting(interval=timedelta(milliseconds=1))
    service.pause = FOR_EVER

    with started(service):
        wait_until(lambda: service.times >= 5, within=5)


@pytest.mark.parametrize("error", [DatabaseUnavailable("down"), RuntimeError("a bug")])
def test_a_service_survives_its_errors_and_says_them(error: Exception, caplog: pytest.LogCaptureFixture) -> None:
    service = Counting(interval=timedelta(milliseconds=1))
    service.error = error

    with started(service):
        wait_until(lambda: service.times >= 3, within=5)
        service.error = None
        before = service.times
        wait_until(lambda: service.times > before, within=5)

    assert str(error) in caplog.text


def test_a_service_stops_while_it_sleeps() -> None:
    service = Counting()
    service.start()
    wait_until(lambda: service.times == 1, within=5)

    began = monotonic()
    service.stop()

    assert monotonic() - began < 5
    assert service.times == 1


def test_a_supervisor_runs_its_services_until_it_is_stopped_and_leaves_none() -> None:
    services = [Counting("one"), Counting("two")]
    supervisor = Supervisor(services)
    thread = Thread(target=supervisor.run)
    thread.start()
    wait_until(lambda: all(service.times for service in services), within=5)

    supervisor.stop()
    thread.join(timeout=10)

    assert not thread.is_alive()
    assert not any(service._thread is not None and service._thread.is_alive() for service in services)


def test_a_supervisor_stopped_before_it_ran_ends_at_once() -> None:
    supervisor = Supervisor([Counting()])
    supervisor.stop()

    thread = Thread(target=supervisor.run)
    thread.start()
    thread.join(timeout=10)

    assert not thread.is_alive()

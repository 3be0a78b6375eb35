"""Of several coordinators one leads: by a lock that dies with its connection, and a word that must be renewed."""

from collections.abc import Callable, Iterator
from datetime import timedelta

import psycopg
import pytest

from tests.support.processes import wait_until
from workflow_engine.engine.leader import Leader
from workflow_engine.engine.service import Service
from workflow_engine.errors import DatabaseUnavailable
from workflow_engine.store.leaders import Leadership
from workflow_engine.store.transaction import Store

LONG, NONE = timedelta(hours=1), timedelta(0)
Make = Callable[[str], Leadership]


class Worker(Service):
    """Notes that it worked."""

    name = "worker"

    def __init__(self) -> None:
        super().__init__(timedelta(hours=1))
        self.worked = 0

    def run_once(self) -> None:
        self.worked += 1


@pytest.fixture
def candidate(store: Store) -> Iterator[Make]:
    made: list[Leadership] = []

    def make(name: str) -> Leadership:
        made.append(Leadership(store.database, "test", name))
        return made[-1]

    yield make
    for each in made:
        each.resign()


def cut(store: Store) -> None:
    """End the leader's connection, as its death would."""
    with psycopg.connect(store.database.url, autocommit=True) as connection:
        connection.execute("SELECT pg_terminate_backend(backend_pid) FROM leaders")


def test_one_of_two_leads_and_the_other_takes_over_when_it_resigns(candidate: Make) -> None:
    first, second = candidate("first"), candidate("second")

    assert first.try_lead(LONG)
    assert not second.try_lead(LONG)
    assert first.try_lead(LONG)
    first.resign()
    wait_until(lambda: second.try_lead(LONG), within=10, why="the server noticed that the first has gone")


def test_a_leader_that_dies_loses_the_role_with_its_connection(candidate: Make, store: Store) -> None:
    first, second = candidate("first"), candidate("second")
    assert first.try_lead(LONG)

    cut(store)

    wait_until(lambda: second.try_lead(LONG), within=10)
    with pytest.raises(DatabaseUnavailable):
        first.renew()
    assert not first.try_lead(LONG)


def test_a_leader_that_is_silent_for_a_lease_is_deposed_and_one_that_is_not_is_not(candidate: Make) -> None:
    first, second = candidate("first"), candidate("second")
    assert first.try_lead(LONG)

    assert not second.try_lead(LONG)
    wait_until(lambda: second.try_lead(NONE), within=10)
    with pytest.raises(DatabaseUnavailable):
        first.renew()


def test_roles_are_led_one_by_one(store: Store) -> None:
    one, other = Leadership(store.database, "one", "a"), Leadership(store.database, "other", "b")
    try:
        assert one.try_lead(LONG)
        assert other.try_lead(LONG)
    finally:
        one.resign()
        other.resign()


def test_a_led_service_works_in_one_coordinator_and_then_in_the_other(candidate: Make, store: Store) -> None:
    workers = Worker(), Worker()
    leaders = [Leader(candidate(f"c{number}"), [worker]) for number, worker in enumerate(workers)]
    for service in (*workers, *leaders):
        service.start()
    try:
        wait_until(
            lambda: any(leader.is_leading for leader in leaders) and sum(each.worked for each in workers), within=10
        )
        winner = 0 if leaders[0].is_leading else 1
        assert not leaders[1 - winner].is_leading
        assert workers[1 - winner].worked == 0

        leaders[winner].stop()

        wait_until(lambda: workers[1 - winner].worked, within=10)
        assert leaders[1 - winner].is_leading
    finally:
        for service in (*leaders, *workers):
            service.stop()


def test_a_leader_that_could_not_renew_in_time_does_not_work_until_it_has(candidate: Make) -> None:
    now = 0.0
    leader = Leader(candidate("only"), [], lease=timedelta(seconds=3), monotonic=lambda: now)
    leader.run_once()
    assert leader.is_leading

    now = 4.0
    assert not leader.is_leading
    leader.run_once()
    assert leader.is_leading

"""The whole way of an event: workers and a coordinator write it, a relay that is killed now and then delivers it."""

from collections.abc import Iterator, Sequence
from random import Random

import pytest

from tests.acceptance import flows
from tests.support.processes import Stage, wait_until
from workflow_engine import RunHandle
from workflow_engine.engine.audit_desk import AuditDesk
from workflow_engine.model.records import EventRecord
from workflow_engine.store.database import Database
from workflow_engine.store.transaction import Store

ENDS = {"run.succeeded", "run.cancelled"}


@pytest.fixture
def store(lonely_stage: Stage) -> Iterator[Store]:
    database = Database(lonely_stage.database_url, max_connections=2)
    yield Store(database)
    database.close()


def logged(store: Store) -> list[EventRecord]:
    with store.single() as tx:
        return list(tx.event_log.read(0, 1_000_000))


def recorded(store: Store) -> list[str]:
    with store.transaction() as tx:
        return [row.entry.event_id for row in tx.audit.read()]


def submit_many(stage: Stage, number: int, random: Random) -> list[RunHandle]:
    """Submit runs of several shapes; some fail at first, some are cancelled."""
    runs = []
    for _ in range(number):
        shape = random.choice([flows.diamond, flows.lattice, flows.chain, flows.flaky, flows.single])
        runs.append(stage.submit(shape, {"n": 1, "failures": 1}))
        if random.random() < 0.1:
            runs[-1].cancel("not needed")
    return runs


def check_order(events: Sequence[EventRecord], places: Sequence[int]) -> None:
    """Each event came, and none before an earlier one of its run, be it for the first time or again."""
    runs: dict[str | None, list[int]] = {}
    for event in events:
        runs.setdefault(event.run_id, []).append(event.position or 0)
    run_of = {event.position: event.run_id for event in events}
    got: dict[str | None, list[int]] = {}
    for place in places:
        got.setdefault(run_of[place], []).append(place)
    assert got.keys() == runs.keys()
    for run, own in runs.items():
        assert list(dict.fromkeys(got[run])) == own
        last = 0
        for place in got[run]:
            number = own.index(place) + 1
            assert number <= last + 1, "a repeated event is followed by what followed it before"
            last = number


def tell_the_whole_story(stage: Stage, store: Store, *, runs: int, kills: int) -> None:
    random = Random(runs)
    stage.start_coordinator()
    stage.start_worker()
    relay = stage.start_relay()
    submitted: list[RunHandle] = []
    for _ in range(kills):
        before = len(stage.delivered())
        submitted += submit_many(stage, runs // (kills + 1), random)
        wait_until(lambda before=before: len(stage.delivered()) > before + random.randint(1, 50), within=60)  # type: ignore[misc]
        relay.kill()
        relay = stage.start_relay()
    submitted += submit_many(stage, runs - len(submitted), random)
    for run in submitted:
        run.wait(timeout=120)
    events = logged(store)
    wait_until(lambda: len(set(stage.delivered())) >= len(events), within=60, why="all is delivered")
    wait_until(lambda: len(recorded(store)) >= len(events), within=60, why="all is recorded")

    check_order(events, stage.delivered())
    for run in submitted:
        own = [event.name for event in events if event.run_id == run.id]
        assert own[0] == "run.submitted"
        assert own[-1] in ENDS
    assert sorted(recorded(store)) == sorted(event.event_id for event in events)
    assert len({event.event_id for event in events}) == len(events)
    assert AuditDesk(store).verify().flaw is None


def test_every_event_of_real_runs_is_delivered_and_recorded_though_relays_are_killed(
    lonely_stage: Stage, store: Store
) -> None:
    tell_the_whole_story(lonely_stage, store, runs=60, kills=2)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_every_event_of_six_hundred_runs_is_delivered_and_recorded_though_relays_are_killed(
    lonely_stage: Stage, store: Store
) -> None:
    tell_the_whole_story(lonely_stage, store, runs=600, kills=5)

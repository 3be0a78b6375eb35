"""Many runs, many failures: whatever fails how often, no event of a run overtakes an earlier one, and none is lost."""

from random import Random
from threading import Lock

import pytest

from tests.support.processes import wait_until
from tests.support.relays import BatchRecorder, Recorder, any_run, append, running
from workflow_engine.model.records import EventRecord
from workflow_engine.relay import backoff
from workflow_engine.store.transaction import Store

RUNS, EVENTS = 25, 400


class Unsteady:
    """A reaction: fail one time in four."""

    def __init__(self, seed: int) -> None:
        self._random = Random(seed)
        self._lock = Lock()

    def __call__(self, event: EventRecord) -> None:
        with self._lock:
            if self._random.random() < 0.25:
                raise ConnectionError(f"no answer about {event.position}")


def parked_or_dead(store: Store) -> dict[int, str]:
    with store.single() as tx:
        return {row.position: row.state for row in tx.connection.execute("SELECT position, state FROM deliveries")}


@pytest.mark.parametrize("kind", [Recorder, BatchRecorder])
@pytest.mark.parametrize("seed", [1, 2])
def test_order_within_each_run_survives_random_failures(
    store: Store, monkeypatch: pytest.MonkeyPatch, kind: type[Recorder], seed: int
) -> None:
    monkeypatch.setattr(backoff, "_FIRST", 0.01)
    random, runs = Random(seed), [any_run() for _ in range(RUNS)]
    subscriber = kind("unsteady", reaction=Unsteady(seed))
    places: dict[str, list[int]] = {run: [] for run in runs}
    with running(store.database.url, subscriber) as relay:
        for _ in range(EVENTS // 4):
            run = random.choice(runs)
            places[run] += append(store, 4, run_id=run)
            relay.wake()
        wait_until(lambda: relay.snapshot()[0].lag_seconds == 0, within=60)
        wait_until(lambda: "parked" not in parked_or_dead(store).values(), within=60)

    dead = set(parked_or_dead(store))
    for run in runs:
        got = [event.position for event in subscriber.got if event.run_id == run]
        assert got == [place for place in places[run] if place not in dead]
    assert dead, "one in sixty-four, or nothing was proved"

"""Relay processes that are killed, frozen and shared while many processes write: nothing is lost or overtakes."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from random import Random
from time import monotonic

import psycopg
import pytest

from tests.acceptance.relay_log import write
from tests.support.processes import ROOT, wait_until
from workflow_engine.embedded.processes import ChildProcess, Program
from workflow_engine.store import migration

SUBSCRIBERS = "tests.acceptance.relay_log"
BATCH = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """An event as a subscriber got it."""

    pid: int
    position: int
    run_id: str
    number: int
    """Of the events of its run, from 1."""


class Place:
    """A database, and the relays that run on it."""

    def __init__(self, folder: Path, database_url: str) -> None:
        self.folder = folder
        self.database_url = database_url
        self.relays: list[ChildProcess] = []

    def start_relay(self, subscriber: str = "Tracer") -> ChildProcess:
        only_ours = self.folder / "subscribers.yaml"
        only_ours.write_text("subscribers: {audit: {enabled: false}}\n")
        variables = {
            "WFE_DATABASE_URL": self.database_url,
            "WFE_SUBSCRIBERS_FILE": str(only_ours),
            "WFE_SUBSCRIBERS": f"{SUBSCRIBERS}:{subscriber}",
            "WFE_RELAY_LEASE_SECONDS": "1",
            "WFE_POLL_SECONDS": "0.5",
            "RELAY_FOLDER": str(self.folder),
            "PYTHONDONTWRITEBYTECODE": "1",
        }
        process = ChildProcess(
            Program(
                argv=[sys.executable, "-m", "workers.relay"],
                env={**os.environ, **variables},
                log=self.folder / f"relay-{len(self.relays)}.log",
                cwd=ROOT,
            )
        )
        self.relays.append(process)
        return process

    def start_writer(self, seed: int, transactions: int) -> "subprocess.Popen[str]":
        argv = [sys.executable, "-m", SUBSCRIBERS, self.database_url, str(seed), str(transactions)]
        return subprocess.Popen(argv, cwd=ROOT, stdout=subprocess.PIPE, text=True)

    def lines(self) -> list[Line]:
        path = self.folder / "trace"
        rows = [row.split() for row in path.read_text().splitlines()] if path.exists() else []
        return [Line(pid=int(row[0]), position=int(row[1]), run_id=row[2], number=int(row[3])) for row in rows]

    def committed(self) -> list[int]:
        with psycopg.connect(self.database_url, autocommit=True) as connection:
            return [row[0] for row in connection.execute("SELECT id FROM events ORDER BY id")]

    def logs(self) -> str:
        return "\n".join(path.read_text(errors="replace")[-3_000:] for path in sorted(self.folder.glob("relay-*.log")))


@pytest.fixture
def place(tmp_path: Path, fresh_database: str) -> Iterator[Place]:
    migration.upgrade(fresh_database)
    made = Place(tmp_path, fresh_database)
    yield made
    for relay in made.relays:
        relay.sweep()
    print(made.logs())


def check_deliveries(place: Place, kills: int) -> None:
    """Each event at least once, in order of the log but for what a killed relay repeats, in order within each run."""
    lines, committed = place.lines(), place.committed()
    positions = [line.position for line in lines]
    assert set(positions) == set(committed)
    first_seen = list(dict.fromkeys(positions))
    assert first_seen == committed, "new ones come in the order of the log, none is skipped"
    backwards = [(one, two) for one, two in pairwise(positions) if two <= one]
    assert len(backwards) <= kills, "only a relay that takes over repeats"
    assert len(positions) - len(committed) <= kills * BATCH, "a batch at most"
    last: dict[str, int] = {}
    for line in lines:
        assert line.number <= last.get(line.run_id, 0) + 1, "no event comes before an earlier one of its run"
        last[line.run_id] = max(line.number, last.get(line.run_id, 0))


def stress(place: Place, *, transactions: int, kills: int, writers: int = 8) -> int:
    random = Random(transactions)
    relay = place.start_relay()
    running = [place.start_writer(seed, transactions // writers) for seed in range(writers)]
    try:
        for _ in range(kills):
            before = len(place.lines())
            wait_until(lambda before=before: len(place.lines()) > before + random.randint(1, 400), within=60)  # type: ignore[misc]
            os.killpg(relay.pid, signal.SIGKILL)
            relay.sweep()
            relay = place.start_relay()
        written = sum(int(each.communicate(timeout=600)[0]) for each in running)
    finally:
        for each in running:
            each.kill()
            each.wait()
    wait_until(lambda: len({line.position for line in place.lines()}) >= written, within=120, why="all is delivered")
    assert len(place.committed()) == written
    return written


def test_killed_relays_lose_nothing_of_what_many_processes_write(place: Place) -> None:
    stress(place, transactions=1_600, kills=2)

    check_deliveries(place, kills=2)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_hundred_thousand_events_survive_five_killed_relays(place: Place) -> None:
    written = stress(place, transactions=26_000, kills=5)

    assert written > 100_000
    check_deliveries(place, kills=5)


@pytest.mark.slow
def test_a_relay_that_was_frozen_past_its_lease_stops_and_moves_nothing(place: Place) -> None:
    """The frozen one wakes in the middle of a batch, which another one has delivered since."""
    frozen = place.start_relay("Slow")
    write(place.database_url, 1, 100)
    wait_until(lambda: len(place.lines()) > 20, why="the first relay is in the middle of a batch")
    os.killpg(frozen.pid, signal.SIGSTOP)
    before = len([line for line in place.lines() if line.pid == frozen.pid])
    other = place.start_relay("Slow")
    wait_until(lambda: {line.pid for line in place.lines()} == {frozen.pid, other.pid}, why="the other one took over")
    os.killpg(frozen.pid, signal.SIGCONT)
    committed = place.committed()
    wait_until(lambda: place.lines()[-1].position == committed[-1], within=60)

    lines = place.lines()
    assert len([line for line in lines if line.pid == frozen.pid]) <= before + 1, "at most the call at hand"
    assert [line.position for line in lines if line.pid == other.pid] == committed


def test_a_killed_relay_is_replaced_within_its_lease(place: Place) -> None:
    first, second = place.start_relay(), place.start_relay()
    write(place.database_url, 1, 5)
    wait_until(lambda: {line.position for line in place.lines()} == set(place.committed()))
    holder, other = (first, second) if place.lines()[0].pid == first.pid else (second, first)

    os.killpg(holder.pid, signal.SIGKILL)
    killed_at = monotonic()
    write(place.database_url, 2, 5)
    wait_until(lambda: {line.position for line in place.lines()} == set(place.committed()), within=20)

    assert place.lines()[-1].pid == other.pid
    assert monotonic() - killed_at < 10


def test_a_relay_told_to_stop_ends_in_good_order_and_frees_its_cursors(place: Place) -> None:
    relay = place.start_relay()
    write(place.database_url, 1, 20)
    wait_until(lambda: {line.position for line in place.lines()} == set(place.committed()))

    relay.send(signal.SIGTERM)

    assert relay.wait(15) == 0
    with psycopg.connect(place.database_url) as connection:
        cursors = connection.execute("SELECT owner, position FROM cursors").fetchall()
        relays = connection.execute("SELECT FROM relays").fetchall()
    assert cursors == [(None, place.committed()[-1])]
    assert relays == []
    assert len(place.lines()) == len(place.committed()), "nothing came twice"

"""What is done is in the audit log once, whoever did it and whatever becomes of the relay that records it."""

import os
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.acceptance import flows
from tests.support.audits import numbers
from tests.support.processes import ROOT, Stage, wait_until
from workflow_engine.embedded.processes import ChildProcess, Program
from workflow_engine.engine.audit_desk import AuditDesk
from workflow_engine.store.audit import AuditFilter
from workflow_engine.store.database import Database
from workflow_engine.store.transaction import Store

StartRelay = Callable[[str], ChildProcess]


@pytest.fixture
def start_relay(tmp_path: Path) -> Iterator[StartRelay]:
    """Start relay processes with nothing but what is built in."""
    started: list[ChildProcess] = []

    def start(database_url: str) -> ChildProcess:
        variables = {"WFE_DATABASE_URL": database_url, "WFE_RELAY_LEASE_SECONDS": "1", "WFE_POLL_SECONDS": "0.2"}
        argv = [sys.executable, "-m", "workers.relay"]
        log = tmp_path / f"relay-{len(started)}.log"
        started.append(ChildProcess(Program(argv=argv, env={**os.environ, **variables}, log=log, cwd=ROOT)))
        return started[-1]

    yield start
    for relay in started:
        relay.sweep()


def happen(store: Store, number: int) -> None:
    """Append events, each of a run of its own: two of one run and one microsecond would be one event."""
    with store.single() as tx:
        tx.connection.execute(
            "INSERT INTO events (run_id, namespace, name, data) "
            "SELECT gen_random_uuid(), 'default', 'run.started', '{}' FROM generate_series(1, %s)",
            [number],
        )


@pytest.mark.slow
def test_each_event_is_recorded_once_though_relays_are_killed(own_store: Store, start_relay: StartRelay) -> None:
    relay = start_relay(own_store.database.url)
    for kill in range(3):
        before = len(numbers(own_store))
        happen(own_store, 2_000)
        wait_until(lambda before=before: len(numbers(own_store)) > before, within=60)  # type: ignore[misc]
        if kill < 2:
            os.killpg(relay.pid, signal.SIGKILL)
            relay.sweep()
            relay = start_relay(own_store.database.url)
    wait_until(lambda: len(numbers(own_store)) >= 6_000, within=60, why="all is recorded")

    assert numbers(own_store) == list(range(1, 6_001))
    assert AuditDesk(own_store).verify().flaw is None


def test_the_log_says_who_submitted_and_who_cancelled(lonely_stage: Stage, start_relay: StartRelay) -> None:
    stage = lonely_stage
    start_relay(stage.database_url)
    run = stage.submit(flows.diamond, {"n": 1}, initiator="ada")
    run.cancel("not needed", actor="bob")
    database = Database(stage.database_url, max_connections=2)
    try:
        desk = AuditDesk(Store(database))
        wanted = AuditFilter(run_id=run.id)
        wait_until(
            lambda: any(row.entry.event == "run.cancelled" for row in desk.rows(wanted, 100)),
            within=30,
            why="the end is recorded",
        )
        actors = {row.entry.event: row.entry.actor for row in desk.rows(wanted, 100)}
        report = desk.verify()
    finally:
        database.close()

    assert (actors["run.submitted"], actors["run.cancelling"], actors["run.cancelled"]) == ("ada", "bob", "engine")
    assert report.flaw is None

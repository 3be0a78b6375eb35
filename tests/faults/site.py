"""The site of a fault: a stage on servers of its own, with everything in a process that may be killed."""

import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from random import Random
from threading import Event
from typing import Any, Final

import redis

from tests.acceptance import flows
from tests.support.checker import check
from tests.support.processes import (
    CoordinatorProcess,
    RelayProcess,
    Stage,
    StageProcess,
    WorkerProcess,
    answering,
    wait_for_all,
    wait_until,
)
from workflow_engine import DatabaseUnavailable, RunHandle, Workflow
from workflow_engine.embedded.broker import EmbeddedBroker
from workflow_engine.embedded.postgres import EmbeddedPostgres
from workflow_engine.engine.audit_desk import AuditDesk
from workflow_engine.model.run import FINAL_RUN_STATES
from workflow_engine.store.database import Database
from workflow_engine.store.transaction import Store

SKEWED_CLOCK: Final = os.fspath(flows.__file__).replace("acceptance/flows.py", "support/skewed_clock")


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """A run to submit, and what must come of it whatever happens."""

    workflow: Workflow
    input: Any = None
    state: str = "succeeded"
    result: Any = None
    """None: it differs from run to run."""
    delay: timedelta | None = None
    """How long after it was submitted it may begin: the time a timer waits while faults happen."""


MIX: Final = (
    Expected(workflow=flows.paced, result={"four": "four"}),
    Expected(workflow=flows.diamond, input={"n": 20}, result={"bottom": {"left": 21, "right": 40}}),
    Expected(workflow=flows.lattice, result=flows.LATTICE_RESULT),
    Expected(workflow=flows.flaky, input={"failures": 1}),
)
LATER: Final = replace(MIX[1], delay=timedelta(seconds=3))
STEADY: Final = Expected(workflow=flows.steady, result={"finish": "finish"})
DOOMED: Final = Expected(workflow=flows.flaky, input={"failures": 99}, state="failed")


@dataclass(kw_only=True)
class Site:
    """A stage and what may happen to it."""

    stage: Stage
    broker: EmbeddedBroker
    database: EmbeddedPostgres
    random: Random
    outage: float = 1.5
    """Seconds for which servers stay away and messages are held back."""
    crashed_in: set[str] = field(default_factory=set)
    """Runs that were in flight when the database crashed: it may have taken claims along, which do not wait for the
    disk."""
    messages_moved: int = 0
    """Messages that faults have taken out of the broker."""
    expected: dict[str, Expected] = field(default_factory=dict)

    def open(self) -> None:
        """Start two workers, two coordinators and a relay."""
        for _ in range(2):
            self.start_worker()
            self.start_coordinator()
        self.stage.start_relay()
        for process in (*self.stage.workers, *self.stage.coordinators):
            process.wait_until_ready()

    def submit_a_mix(self, number: int) -> list[RunHandle]:
        """Submit so many runs of each workflow of the mix; all must succeed."""
        return [run for each in MIX for run in self.submit(each, number)]

    def submit(self, expected: Expected, number: int) -> list[RunHandle]:
        """Submit so many runs of which the same is expected."""
        options = {} if expected.delay is None else {"scheduled_at": datetime.now(UTC) + expected.delay}
        runs = self._submit(expected.workflow, [expected.input] * number, options)
        self.expected |= {run.id: expected for run in runs}
        return runs

    def _submit(self, workflow: Workflow, inputs: Sequence[Any], options: dict[str, Any]) -> list[RunHandle]:
        """Submit, as an application does whose database may just have been restarted."""

        def are_stored() -> list[RunHandle]:
            with suppress(DatabaseUnavailable):
                return self.stage.client.submit_many(workflow, inputs, **options)
            return []

        return wait_until(are_stored, why="the database takes runs")

    def wait_for_progress(self, runs: Sequence[RunHandle], calls: int = 5) -> bool:
        """Return once some more handlers were called; True if something was still in flight then."""
        before = self._calls()
        wait_until(lambda: self._calls() > before + calls or self.are_over(runs), within=90, why="there is progress")
        return not self.are_over(runs)

    def are_over(self, runs: Sequence[RunHandle]) -> bool:
        """Tell whether nothing is left to disturb; not while the database is away."""
        with suppress(DatabaseUnavailable):
            return all(run.state in FINAL_RUN_STATES for run in (runs[0], runs[len(runs) // 2], runs[-1]))
        return False

    def finish(self, runs: Sequence[RunHandle], within: float = 60.0) -> None:
        """Return once these runs have ended; each in the state, and with the result, that is expected of it."""
        wait_for_all(answering(list(runs)), within=within)
        for run in runs:
            expected = self.expected[run.id]
            assert run.state == expected.state, f"{run.id} of {expected.workflow.name}"
            assert expected.result is None or run.result == expected.result

    def prove(self) -> int:
        """Prove every promise about every run, and that each event was delivered and recorded; return the runs."""
        unfinished = "SELECT FROM runs WHERE finished_at IS NULL LIMIT 1"
        wait_until(lambda: not self.stage.rows(unfinished), why="every run has ended, those of lost answers too")
        number = check(self.stage, claims_may_be_lost=self.crashed_in)
        self.prove_deliveries()
        return number

    def prove_deliveries(self) -> None:
        """The relays have delivered every event, and the audit log has each of them once, in an unbroken chain."""
        rows = self.stage.rows("SELECT id, run_id FROM events")
        events = {row.id for row in rows}
        wait_until(lambda: events <= set(self.stage.delivered()), within=60, why="every event is delivered")
        wait_until(lambda: self._recorded() >= len(events), within=60, why="every event is recorded")
        database = Database(self.stage.database_url, max_connections=2)
        flaw = AuditDesk(Store(database)).verify().flaw
        database.close()
        assert flaw is None
        assert self._recorded() == len(events), "an event is recorded twice"

    def _calls(self) -> int:
        path = self.stage.folder / "trace"
        return path.read_bytes().count(b"\n") if path.exists() else 0

    def _recorded(self) -> int:
        (row,) = self.stage.rows("SELECT count(*) AS number FROM audit_log")
        return int(row.number)

    def cancel(self, run: RunHandle) -> None:
        """Cancel a run; however far it is, it is cancelled or has succeeded."""
        with suppress(DatabaseUnavailable):
            run.cancel("a storm came up")
            if run.state != "succeeded":
                self.expected[run.id] = replace(self.expected[run.id], state="cancelled", result=None)

    # What faults do

    def expect_lost_claims(self) -> None:
        """The database is about to crash."""
        self.crashed_in |= {str(row.id) for row in self.stage.rows("SELECT id FROM runs WHERE finished_at IS NULL")}

    def pick_worker(self) -> WorkerProcess:
        """Choose one that lives."""
        return self.random.choice([each for each in self.stage.workers if each.is_alive()])

    def pick_coordinator(self) -> CoordinatorProcess:
        """Choose one that lives."""
        return self.random.choice([each for each in self.stage.coordinators if each.is_alive()])

    def pick_relay(self) -> RelayProcess:
        """Choose one that lives."""
        return self.random.choice([each for each in self.stage.relays if each.is_alive()])

    def start_worker(self, **variables: str) -> WorkerProcess:
        """Start a worker; it is ready some time later."""
        return self.stage.start_worker("-c2", ready=False, **variables)

    def start_coordinator(self, **variables: str) -> CoordinatorProcess:
        """Start a coordinator; it is ready some time later."""
        return self.stage.start_coordinator_process(ready=False, **variables)

    def freeze(self, process: StageProcess, seconds: float) -> None:
        """Stop a process in the middle of what it does, for longer than any lease; then let it go on."""
        process.freeze()
        pass_time(seconds)
        process.thaw()

    def broker_client(self) -> "redis.Redis":
        """Return a client of the broker; the caller closes it."""
        return redis.Redis.from_url(self.broker.url)


def pass_time(seconds: float) -> None:
    """Let time pass, where its passing is the fault; nothing is waited for."""
    Event().wait(seconds)


def skewed_by(seconds: float) -> dict[str, str]:
    """Return the variables of a process whose wall clock is that wrong."""
    path = os.pathsep.join(part for part in (SKEWED_CLOCK, os.environ.get("PYTHONPATH")) if part)
    return {"PYTHONPATH": path, "STAGE_CLOCK_SKEW": str(seconds)}


SiteMaker = Callable[..., Any]

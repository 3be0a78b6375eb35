"""Whatever commands come, in whatever order: no run is ever in a state that makes no sense, and each can still end."""

from contextlib import suppress
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from tests.support.histories import DatabaseRows, prove_every_run
from tests.support.recording import RecordingDispatcher, claim, complete, fail, key, lose
from workflow_engine import NotDead, RunEnded, Workflow, WrongState, compile_plan
from workflow_engine.engine.dispatcher import Dispatch
from workflow_engine.engine.processor import Processor
from workflow_engine.ids import new_run_id
from workflow_engine.model.commands import (
    CancelRun,
    ClaimStep,
    DiscardSteps,
    FireTimers,
    PauseRun,
    ProcessReadiness,
    ReleaseSteps,
    RerunRun,
    ResolveStep,
    ResumeRun,
    RetrySteps,
    StepAttempt,
    StopStep,
    SubmitRun,
)
from workflow_engine.model.run import FINAL_RUN_STATES
from workflow_engine.model.run_options import RunOptions
from workflow_engine.model.step import FINAL_STEP_STATES
from workflow_engine.plan.plan import Plan
from workflow_engine.store.transaction import Store

SIZE = 7
WORKER = str(uuid4())
places = st.integers(0, 1_000)
"""Of a message among all that were ever sent: late and repeated ones are as likely as the newest."""


class OneRun(RuleBasedStateMachine):
    """A run of a random graph, and every command there is, about any attempt there ever was."""

    store: Store

    def __init__(self) -> None:
        super().__init__()
        self.dispatcher = RecordingDispatcher()
        self.processor = Processor(self.store, self.dispatcher, loss_limit=1)
        self.rows = DatabaseRows(self.store.database).rows

    @initialize(
        edges=st.lists(st.booleans(), min_size=SIZE * SIZE, max_size=SIZE * SIZE),
        size=st.integers(1, SIZE),
        policy=st.sampled_from(["fail_fast", "continue"]),
        options=st.sampled_from([{}, {"expires_at": "2020-01-01T00:00:00Z"}, {"scheduled_at": "2020-01-01T00:00:00Z"}]),
    )
    def submit(self, edges: list[bool], size: int, policy: str, options: dict[str, Any]) -> None:
        workflow = Workflow(f"walk_{uuid4().hex[:8]}", on_failure=policy)
        for number in range(size):
            parents = [f"s{parent}" for parent in range(number) if edges[number * SIZE + parent]]
            workflow.step(name=f"s{number}", after=parents)(lambda ctx: None)
        self.plan: Plan = compile_plan(workflow)
        self.run_id = new_run_id()
        self.processor.execute(
            SubmitRun(
                run_id=self.run_id,
                plan_id=self.processor.register(self.plan),
                input="1",
                input_digest="",
                options=RunOptions(**options),
            )
        )

    def message(self, place: int) -> Dispatch | None:
        return self.dispatcher.sent[place % len(self.dispatcher.sent)] if self.dispatcher.sent else None

    def attempt(self, place: int) -> StepAttempt | None:
        message = self.message(place)
        return None if message is None else StepAttempt(**key(message))

    @rule(place=places)
    def claim(self, place: int) -> None:
        if message := self.message(place):
            claim(self.processor, message, WORKER)

    @rule(place=places, result=st.sampled_from(["1", "null", '{"a": [1]}']))
    def complete(self, place: int, result: str) -> None:
        if message := self.message(place):
            complete(self.processor, message, result)

    @rule(place=places)
    def claim_and_complete(self, place: int) -> None:
        if (message := self.message(place)) and claim(self.processor, message, WORKER):
            complete(self.processor, message)

    @rule(place=places, retry=st.booleans())
    def fail(self, place: int, retry: bool) -> None:
        if message := self.message(place):
            fail(self.processor, message, timedelta(0) if retry else None)

    @rule(place=places)
    def lose(self, place: int) -> None:
        if message := self.message(place):
            lose(self.processor, message)

    @rule(place=places)
    def stop(self, place: int) -> None:
        if message := self.message(place):
            self.processor.execute(StopStep(**key(message)))

    @rule(place=places)
    def release(self, place: int) -> None:
        if attempt := self.attempt(place):
            self.processor.execute(ReleaseSteps(attempts=[attempt], reason="no", retry_in=timedelta(0)))

    @rule(away=st.booleans())
    def dispatch_what_is_due(self, away: bool) -> None:
        self.dispatcher.is_down = away
        self.processor.execute(ProcessReadiness(limit=3))
        self.dispatcher.is_down = False

    @rule()
    def cancel(self) -> None:
        self.processor.execute(CancelRun(run_id=self.run_id))

    @rule()
    def pause(self) -> None:
        with suppress(RunEnded):
            self.processor.execute(PauseRun(run_id=self.run_id))

    @rule()
    def resume(self) -> None:
        with suppress(RunEnded):
            self.processor.execute(ResumeRun(run_id=self.run_id))

    @rule(position=st.integers(0, SIZE - 1), result=st.sampled_from(["1", "2"]))
    def resolve(self, position: int, result: str) -> None:
        with suppress(RunEnded, WrongState):
            position %= len(self.plan)
            self.processor.execute(ResolveStep(run_id=self.run_id, position=position, result=result, reason="by hand"))

    @rule()
    def expire(self) -> None:
        self.processor.execute(FireTimers(limit=3))

    @rule(positions=st.lists(st.integers(0, SIZE - 1), max_size=2, unique=True))
    def retry(self, positions: list[int]) -> None:
        with suppress(NotDead):
            self.processor.execute(RetrySteps(run_id=self.run_id, positions=positions))

    @rule(position=st.integers(0, SIZE - 1))
    def discard(self, position: int) -> None:
        with suppress(NotDead):
            self.processor.execute(DiscardSteps(run_id=self.run_id, positions=[position]))

    @invariant()
    def the_rows_make_sense(self) -> None:
        if not hasattr(self, "run_id"):
            return
        (run,) = self.rows("SELECT * FROM runs WHERE id = %s", self.run_id)
        steps = self.rows("SELECT * FROM steps WHERE run_id = %s ORDER BY position", self.run_id)
        final = [step.state in FINAL_STEP_STATES for step in steps]
        assert all(final) == (run.state in FINAL_RUN_STATES), (run.state, [step.state for step in steps])
        if run.state == "succeeded":
            assert {step.state for step in steps} == {"succeeded"}
        if run.state == "pending":
            assert {step.state for step in steps} <= {"waiting", "ready", "dispatched"}
        for step in steps:
            self._step_makes_sense(step, steps)

        self._settling_makes_sense(run, steps)

    def _settling_makes_sense(self, run: Any, steps: list[Any]) -> None:
        """Who ends a step asks whether the run is over if and only if the run can no longer simply succeed."""
        failed = [self.plan[step.position].name for step in steps if step.state == "failed"]
        ending = bool(failed) or run.state == "cancelling"
        unfinished = [step for step in steps if step.state not in FINAL_STEP_STATES]
        if run.state == "paused":
            assert {step.settle for step in unfinished} <= ({-1, 2} if ending else {-1})
        else:
            assert {step.settle > 0 for step in unfinished} <= {ending}
            assert {step.settle >= 0 for step in unfinished} <= {True}
        assert (run.error is None) == (not failed) or run.state in {"cancelling", "cancelled"}
        assert run.error is None or run.error["step"] in failed
        if not ending and run.state == "running":
            assert run.sinks_left == sum(steps[sink].state != "succeeded" for sink in self.plan.sinks)

    def _step_makes_sense(self, step: Any, steps: list[Any]) -> None:
        parents = [steps[parent].state for parent in self.plan[step.position].parents]
        missing = sum(state != "succeeded" for state in parents)
        if step.state in {"ready", "dispatched", "running", "retrying", "succeeded", "failed"}:
            assert missing == 0
        if step.state == "waiting":
            assert step.missing == missing > 0
        if step.state == "skipped":
            assert set(parents) & {"failed", "skipped"}

    def teardown(self) -> None:
        """However the walk went, workers that go on bring the run to its end."""
        if hasattr(self, "run_id"):
            self._finish()
            self._rerun(len(self.dispatcher.sent) % len(self.plan))
            prove_every_run(self.store.database)
        with self.store.single() as tx:
            tx.connection.execute("TRUNCATE events; DELETE FROM steps; DELETE FROM runs; DELETE FROM plans")

    def _rerun(self, position: int) -> None:
        """Do part of it again; the new run ends well, with what the first one had made."""
        new = new_run_id()
        self.processor.execute(RerunRun(run_id=new, of=self.run_id, position=position, input_digest=""))
        self._finish()
        (run,) = self.rows("SELECT state, sinks_left FROM runs WHERE id = %s", new)
        assert (run.state, run.sinks_left) == ("succeeded", 0)

    def _finish(self) -> None:
        self.resume()
        for running in self.rows("SELECT plan_id, run_id, position, attempt FROM steps JOIN runs ON id = run_id"):
            complete(self.processor, running)
        for _ in range(3 * len(self.plan)):
            self.rows("UPDATE steps SET ready_at = now() WHERE ready_at IS NOT NULL RETURNING 1")
            self.processor.execute(ProcessReadiness(limit=100))
            for message in list(self.dispatcher.sent):
                if self.processor.execute(ClaimStep(**key(message), worker_id=WORKER, worker_name="test")):
                    complete(self.processor, message)


@pytest.fixture
def machine(store: Store) -> type[OneRun]:
    """The machine, on this process's database."""
    return type("OneRunHere", (OneRun,), {"store": store})


def test_no_walk_leads_to_rows_that_make_no_sense(machine: type[OneRun]) -> None:
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=12,
            stateful_step_count=30,
            deadline=None,
            phases=[Phase.explicit, Phase.generate],  # to shrink a walk takes minutes, and it reads well as it is
            suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
        ),
    )

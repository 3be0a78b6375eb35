"""Steps that wait: suspended and woken, signals kept and taken; every race between them has one winner."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from threading import Barrier
from typing import Any
from uuid import uuid4

import pytest

from tests.support.checker import find_problems, read
from tests.support.recording import (
    RecordingDispatcher,
    claim,
    event_names,
    fail,
    key,
    run_state,
    states,
    submit,
)
from workflow_engine import InvalidInput, RunEnded, RunNotFound, Workflow, compile_plan
from workflow_engine.definitions.waiting import Wait
from workflow_engine.engine.processor import Processor
from workflow_engine.ids import RunId, new_run_id
from workflow_engine.model.commands import (
    CancelRun,
    CompleteStep,
    DeliverSignal,
    FireTimers,
    ProcessReadiness,
    RescueSteps,
    RetrySteps,
    SuspendStep,
)
from workflow_engine.store.transaction import Store

APPROVAL = Wait(signal="approved")
ROUNDS = 8


@pytest.fixture(autouse=True)
def checked(store: Store) -> Iterator[None]:
    """Prove, after each test, that what has ended has ended as promised."""
    yield
    rows = Rows(store)
    assert find_problems(rows, [history for history in read(rows) if history.run.finished_at]) == []


class Rows:
    """The database, as the checker asks it."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def rows(self, query: str, *values: Any) -> list[Any]:
        with self._store.single() as tx:
            return tx.connection.execute(query, values or None).fetchall()


def approval(timeout: float | None = None, **options: Any) -> Workflow:
    """Return a workflow whose second step waits for a signal."""
    workflow = Workflow(f"approval_{uuid4().hex[:8]}", **options)
    workflow.wait_for_signal("approved", timeout=timeout)
    workflow.step(name="ship", after=["approved"])(lambda ctx: None)
    return workflow


def nap() -> Workflow:
    """Return a workflow whose first step sleeps."""
    workflow = Workflow(f"nap_{uuid4().hex[:8]}")
    workflow.sleep(3600, name="nap")
    workflow.step(name="ship", after=["nap"])(lambda ctx: None)
    return workflow


class Walk:
    """A run of which one step waits."""

    def __init__(self, processor: Processor, dispatcher: RecordingDispatcher, store: Store) -> None:
        self.processor = processor
        self.broker = dispatcher
        self.store = store
        self.run_id = RunId("")

    def submit(self, workflow: Workflow, step: str) -> Callable[[], None]:
        """Submit and claim; return what suspends the step."""
        self.run_id = submit(self.processor, workflow)
        return self.claimed(step, next(each.wait for each in compile_plan(workflow) if each.name == step) or Wait())

    def claimed(self, step: str, wait: Wait) -> Callable[[], None]:
        message = self.broker.take(step)
        claimed = claim(self.processor, message)
        assert claimed is not None
        command = SuspendStep(**key(message), wait=wait, claim=claimed.claim)
        return lambda: self.processor.execute(command)

    def signal(self, payload: str = "1", **values: Any) -> bool:
        command = DeliverSignal(**{"run_id": self.run_id, "name": "approved", "payload": payload, **values})
        return bool(self.processor.execute(command))

    def come_due(self) -> None:
        """Let every timer be due."""
        with self.store.single() as tx:
            tx.connection.execute("UPDATE timers SET due_at = now()")

    def fire(self) -> None:
        self.processor.execute(FireTimers(limit=100))

    def count(self, query: str) -> int:
        with self.store.single() as tx:
            row = tx.connection.execute(query).fetchone()  # type: ignore[call-overload]
        return int(row[0])

    def result(self, step: str) -> Any:
        with self.store.single() as tx:
            return next(each.result for each in tx.views.steps_of(self.run_id) if each.name == step)

    @property
    def states(self) -> dict[str, str]:
        return states(self.store, self.run_id)

    def run(self, step: str) -> None:
        """Claim and complete a step."""
        message = self.broker.take(step)
        claimed = claim(self.processor, message)
        assert claimed is not None
        self.processor.execute(CompleteStep(**key(message), result="null", seconds=0.1, claim=claimed.claim))

    def ship(self) -> None:
        """Run what comes after the wait, exactly once."""
        self.run("ship")
        assert not self.broker.sent
        assert run_state(self.store, self.run_id) == "succeeded"


@pytest.fixture
def walk(processor: Processor, dispatcher: RecordingDispatcher, store: Store) -> Walk:
    return Walk(processor, dispatcher, store)


def test_a_sleep_is_woken_by_its_timer_and_completes_with_null(walk: Walk) -> None:
    walk.submit(nap(), "nap")()
    assert walk.states == {"nap": "suspended", "ship": "waiting"}
    walk.fire()
    assert walk.states["nap"] == "suspended"  # not yet

    walk.come_due()
    walk.fire()

    assert walk.states == {"nap": "succeeded", "ship": "dispatched"}
    assert walk.result("nap") is None
    walk.ship()
    names = event_names(walk.store, walk.run_id)
    assert names["step.suspended", "nap"] == names["step.resumed", "nap"] == names["step.completed", "nap"] == 1


def test_a_sleep_is_due_after_its_length_by_the_database_clock(walk: Walk) -> None:
    walk.submit(nap(), "nap")()

    assert walk.count("SELECT extract(epoch FROM due_at - clock_timestamp()) FROM timers WHERE kind = 'wake'") in {
        3598,
        3599,
        3600,
    }


def test_a_moment_that_has_passed_is_due_at_once(walk: Walk) -> None:
    workflow = Workflow(f"until_{uuid4().hex[:8]}")
    workflow.wait_until(datetime.now(UTC) - timedelta(days=1), name="nap")
    workflow.step(name="ship", after=["nap"])(lambda ctx: None)
    walk.submit(workflow, "nap")()

    walk.fire()

    walk.ship()


def test_a_signal_completes_the_step_that_waits_with_its_payload(walk: Walk) -> None:
    walk.submit(approval(timeout=3600), "approved")()

    assert walk.signal('{"by": "ada"}', actor="ada")

    assert walk.result("approved") == {"by": "ada"}
    assert walk.count("SELECT count(*) FROM timers") == 0
    walk.ship()


def test_signals_that_come_early_are_kept_and_the_oldest_goes_first(walk: Walk) -> None:
    workflow = approval()
    workflow.wait_for_signal("approved", name="again", after=["ship"])
    suspend = walk.submit(workflow, "approved")
    assert [walk.signal("1"), walk.signal("2")] == [True, True]

    suspend()

    assert walk.result("approved") == 1
    walk.run("ship")
    walk.claimed("again", APPROVAL)()
    assert walk.result("again") == 2
    assert run_state(walk.store, walk.run_id) == "succeeded"
    assert event_names(walk.store, walk.run_id)["step.suspended", "approved"] == 0


def test_a_signal_goes_to_the_step_that_has_waited_longest(walk: Walk) -> None:
    workflow = Workflow(f"two_{uuid4().hex[:8]}")
    for name in ("first", "second"):
        workflow.wait_for_signal("approved", name=name)
    walk.submit(workflow, "second")()
    walk.claimed("first", APPROVAL)()

    walk.signal()

    assert walk.states == {"first": "suspended", "second": "succeeded"}
    walk.signal()
    assert run_state(walk.store, walk.run_id) == "succeeded"


def test_a_signal_that_does_not_come_in_time_fails_the_step_and_a_dead_letter_is_kept(walk: Walk) -> None:
    walk.submit(approval(timeout=5), "approved")()
    walk.come_due()

    walk.fire()

    assert walk.states == {"approved": "failed", "ship": "cancelled"}
    assert run_state(walk.store, walk.run_id) == "failed"
    with walk.store.single() as tx:
        record = tx.views.find_run(walk.run_id)
    assert record is not None
    assert record.error == {
        "step": "approved",
        "error_class": "SignalTimeout",
        "message": "step 'approved': signal 'approved' did not come within 5 s",
    }
    assert walk.count("SELECT count(*) FROM step_dead_letters") == 1


def test_a_step_that_timed_out_waits_again_when_it_is_requeued(walk: Walk) -> None:
    walk.submit(approval(timeout=5), "approved")()
    walk.come_due()
    walk.fire()

    walk.processor.execute(RetrySteps(run_id=walk.run_id))
    walk.processor.execute(ProcessReadiness(limit=10))
    walk.claimed("approved", Wait(signal="approved", seconds=5))()
    walk.signal()

    walk.ship()


@pytest.mark.parametrize("wait", [nap, approval])
def test_a_cancel_ends_a_step_that_waits_and_forgets_its_timer(walk: Walk, wait: Callable[[], Workflow]) -> None:
    walk.submit(wait(), "nap" if wait is nap else "approved")()

    walk.processor.execute(CancelRun(run_id=walk.run_id))

    assert set(walk.states.values()) == {"cancelled"}
    assert run_state(walk.store, walk.run_id) == "cancelled"
    assert walk.count("SELECT count(*) FROM timers") == 0


def test_a_step_that_comes_to_wait_while_its_run_is_cancelled_is_cancelled(walk: Walk) -> None:
    suspend = walk.submit(nap(), "nap")
    walk.processor.execute(CancelRun(run_id=walk.run_id))

    suspend()

    assert set(walk.states.values()) == {"cancelled"}
    assert run_state(walk.store, walk.run_id) == "cancelled"


def test_a_failure_elsewhere_cancels_what_waits_or_lets_it_wait_as_the_policy_says(walk: Walk) -> None:
    for policy, waiting, after in (("fail_fast", "cancelled", "failed"), ("continue", "suspended", "running")):
        workflow = Workflow(f"pair_{uuid4().hex[:8]}", on_failure=policy)
        workflow.wait_for_signal("approved")
        workflow.step(name="bad")(lambda ctx: None)
        walk.submit(workflow, "approved")()
        message = walk.broker.take("bad")
        claim(walk.processor, message)
        fail(walk.processor, message)
        assert (walk.states["approved"], run_state(walk.store, walk.run_id)) == (waiting, after)

    walk.signal()

    assert walk.states["approved"] == "succeeded"
    assert run_state(walk.store, walk.run_id) == "failed"


def test_nobody_takes_a_step_that_waits_from_a_silent_worker(walk: Walk) -> None:
    walk.submit(nap(), "nap")()

    walk.processor.execute(RescueSteps(lease=timedelta(0), limit=10))

    assert walk.states["nap"] == "suspended"


def test_a_repeated_suspension_or_wake_changes_nothing(walk: Walk) -> None:
    suspend = walk.submit(nap(), "nap")
    suspend()
    suspend()
    assert walk.count("SELECT count(*) FROM timers") == 1
    walk.come_due()
    walk.fire()
    walk.fire()
    suspend()  # what its completion set free, and nobody has claimed, is sent again

    assert [message.step for message in walk.broker.sent] == ["ship", "ship"]
    walk.broker.sent.popleft()
    walk.ship()


def test_a_key_makes_a_repeated_delivery_count_once(walk: Walk) -> None:
    suspend = walk.submit(approval(), "approved")

    assert walk.signal('{"a": 1, "b": 2}', key="k")
    assert not walk.signal('{"b": 2, "a": 1}', key="k")
    suspend()
    walk.ship()

    assert not walk.signal('{"a": 1, "b": 2}', key="k")  # also when the run has ended
    assert walk.count("SELECT count(*) FROM signals") == 1
    assert event_names(walk.store, walk.run_id)["signal.received", None] == 1


def test_a_key_of_another_signal_is_refused(walk: Walk) -> None:
    walk.submit(approval(), "approved")
    walk.signal("1", key="k")

    with pytest.raises(InvalidInput, match="key: 'k' already belongs to a signal of this run with another"):
        walk.signal("2", key="k")


def test_the_door_refuses_what_no_step_will_take_and_stores_nothing(walk: Walk) -> None:
    walk.submit(approval(), "approved")()
    with pytest.raises(InvalidInput, match=r"name: no step of workflow .* waits for .*did you mean 'approved'"):
        walk.signal(name="aproved")
    with pytest.raises(RunNotFound):
        walk.signal(run_id=new_run_id())
    assert walk.count("SELECT count(*) FROM signals") == 0

    walk.processor.execute(CancelRun(run_id=walk.run_id))

    with pytest.raises(RunEnded, match="is cancelled: nothing of it will take signal 'approved'") as refused:
        walk.signal()
    assert refused.value.state == "cancelled"
    assert walk.count("SELECT count(*) FROM signals") == 0


@contextmanager
def at_once(*acts: Callable[[], object]) -> Iterator[list[Any]]:
    """Do things at the same moment, in threads of their own; yield their answers."""
    barrier = Barrier(len(acts))

    def run(act: Callable[[], object]) -> object:
        barrier.wait()
        try:
            return act()
        except RunEnded as error:
            return error

    with ThreadPoolExecutor(len(acts)) as pool:
        yield list(pool.map(run, acts))


def completions(walk: Walk) -> int:
    return event_names(walk.store, walk.run_id)["step.completed", "approved"]


def test_a_signal_and_a_suspension_at_once_complete_the_step_once(walk: Walk) -> None:
    for _ in range(ROUNDS):
        suspend = walk.submit(approval(), "approved")
        with at_once(suspend, walk.signal):
            assert completions(walk) == 1
            walk.ship()


def test_two_signals_and_a_suspension_at_once_complete_it_once_and_keep_the_other(walk: Walk) -> None:
    for _ in range(ROUNDS):
        suspend = walk.submit(approval(), "approved")
        with at_once(suspend, walk.signal, walk.signal):
            assert completions(walk) == 1
            assert walk.count("SELECT count(*) FROM signals WHERE consumed_by IS NULL") == 1
            walk.ship()
        with walk.store.single() as tx:
            tx.connection.execute("DELETE FROM signals")


def test_a_signal_at_the_moment_of_the_timeout_completes_the_step_or_comes_too_late(walk: Walk) -> None:
    for _ in range(ROUNDS):
        walk.submit(approval(timeout=3600), "approved")()
        walk.come_due()
        with at_once(walk.fire, walk.signal) as (_, taken):
            pass
        if walk.states["approved"] == "succeeded":
            walk.ship()
        else:
            assert walk.states["approved"] == "failed"
            assert isinstance(taken, RunEnded) or taken is True  # kept, a moment before the end
        assert completions(walk) == (walk.states["approved"] == "succeeded")


def test_two_coordinators_that_fire_at_once_complete_the_step_once(walk: Walk) -> None:
    for _ in range(ROUNDS):
        walk.submit(nap(), "nap")()
        walk.come_due()
        with at_once(walk.fire, walk.fire):
            walk.ship()


def test_the_same_signal_from_two_callers_at_once_counts_once(walk: Walk) -> None:
    for _ in range(ROUNDS):
        suspend = walk.submit(approval(), "approved")
        with at_once(lambda: walk.signal(key="k"), lambda: walk.signal(key="k")) as taken:
            assert sorted(taken) == [False, True]
        suspend()
        walk.ship()


def test_a_cancel_and_a_signal_at_once_leave_nothing_behind(walk: Walk) -> None:
    for _ in range(ROUNDS):
        walk.submit(approval(timeout=3600), "approved")()
        with at_once(walk.signal, lambda: walk.processor.execute(CancelRun(run_id=walk.run_id))):
            assert run_state(walk.store, walk.run_id) == "cancelled"
            assert walk.count("SELECT count(*) FROM timers") == 0
        walk.broker.sent.clear()
